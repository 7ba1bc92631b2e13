"""Encoders of staged files, one for each format."""
