"""The wire protocol, and sessions of clients."""
