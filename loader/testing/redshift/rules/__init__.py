"""The rules of Redshift that the stand-in holds, each with an example that shows it."""
