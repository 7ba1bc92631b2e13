"""Rows on their way: frames and files in, casts, keys, and files out."""
