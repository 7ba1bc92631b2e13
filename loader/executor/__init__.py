"""What runs plans: loads, table changes, reads and checks, in transactions."""
