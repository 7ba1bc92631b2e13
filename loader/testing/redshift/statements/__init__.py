"""Redshift's SQL, read and translated to PostgreSQL's."""
