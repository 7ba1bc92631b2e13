"""Plans as data: the statements of a load, and those that change a live table."""
