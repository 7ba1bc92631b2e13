"""Plans as people read them: on a terminal, in a SQL client, in a pull request."""
