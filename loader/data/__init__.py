"""Reads frames and files, casts rows to the types of a table, and writes files."""
