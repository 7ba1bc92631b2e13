"""What COPY reads: staged files, checked against a table's columns."""
