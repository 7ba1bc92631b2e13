"""The Data API of the stand-in: requests over HTTP, sessions on the gateway."""
