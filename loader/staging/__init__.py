"""Staged files: encoders, the stager that writes them, and the stores they lie in."""
