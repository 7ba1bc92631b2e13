"""An S3 server, and the stand-in's requests to it."""
