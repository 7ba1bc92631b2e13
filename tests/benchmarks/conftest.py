"""Keeps pytest out: a worker can be imported only where its peer is installed."""

collect_ignore = ["workers"]
