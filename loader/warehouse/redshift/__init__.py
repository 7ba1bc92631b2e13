"""Amazon Redshift: the driver's session, large reads, and what its errors mean."""
