"""Amazon Redshift: driver, Data API, settings, UNLOAD, error messages and doctor steps."""
