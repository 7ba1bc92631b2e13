"""Mutated inputs of every kind, held against one rule: see `python -m tests.fuzz --help`."""
