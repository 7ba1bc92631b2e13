"""Amazon Redshift: driver, settings, UNLOAD, error messages and doctor steps."""
