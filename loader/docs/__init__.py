"""The static site of a project's table specs."""
