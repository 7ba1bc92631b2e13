"""Table specs drafted from data or from live tables."""
