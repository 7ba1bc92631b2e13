"""How a live table differs from its spec."""
