"""Stores of staged files: a local folder, or S3."""
