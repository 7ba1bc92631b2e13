"""A strict stand-in for Amazon Redshift: it refuses what Redshift refuses."""
