"""Checks a target step by step, and says what to fix."""
