"""SQL without a warehouse: types, dialects, templates and their renderer, and a lexer."""
