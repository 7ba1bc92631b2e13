"""The table spec: the YAML language, its partitions, and the files it is read from."""
