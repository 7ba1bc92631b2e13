"""How plans, reviews, problems and progress are shown."""
