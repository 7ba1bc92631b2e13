"""One module per way to load, each run in a process of its own by `tests.benchmarks.measure`."""
