"""Figures of staged rows, which prove after the copy that the values arrived."""
