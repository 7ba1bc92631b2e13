"""Benchmarks of this loader beside its peers and beside the limit, all in one run."""
