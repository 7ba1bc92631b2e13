"""Files as streams of Arrow batches, one module for each format."""
