"""A stand-in for Amazon Redshift and S3 that refuses what they refuse."""
