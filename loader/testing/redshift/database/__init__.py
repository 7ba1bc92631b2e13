"""What a Redshift database has that a PostgreSQL database lacks."""
