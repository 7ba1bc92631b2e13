"""Casts of columns to the types of a spec: exact, or refused with row and value."""
