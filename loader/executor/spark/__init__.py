"""Loads of Spark DataFrames: executors cast, check and stage, this process merges and copies."""
