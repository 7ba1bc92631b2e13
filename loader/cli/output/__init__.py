"""Formats plans, reviews, problems and progress for terminals, Markdown and GitHub."""
