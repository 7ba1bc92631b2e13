"""An S3 server that takes all and keeps nothing: a bucket far away, as far as this machine goes.

It answers what an upload asks, and nothing else: `python -m tests.benchmarks.sinkserver PORT`.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TAG = '"00000000000000000000000000000000"'
"""What every part is told to be known by."""


class Sink(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    buffer = bytearray(1 << 20)
    """What arrives, for nobody: all connections write into it."""

    def do_PUT(self) -> None:  # http.server's name
        """Take an object, a part, or a bucket."""
        self._take()
        self._answer(b"", ETag=TAG)

    def do_POST(self) -> None:  # http.server's name
        """Begin or complete an upload, or remove keys."""
        self._take()
        asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "uploads" in asked:
            self._answer(_xml("InitiateMultipartUploadResult", "<UploadId>1</UploadId>"))
        elif "uploadId" in asked:
            self._answer(_xml("CompleteMultipartUploadResult", f"<ETag>{TAG}</ETag>"))
        else:
            self._answer(_xml("DeleteResult", ""))

    def do_GET(self) -> None:  # http.server's name
        """Tell that there is nothing."""
        self._answer(_xml("ListBucketResult", "<KeyCount>0</KeyCount>"))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _take(self) -> None:
        left = int(self.headers.get("Content-Length", 0))
        while left:
            got = self.rfile.readinto1(memoryview(self.buffer)[:left])
            if not got:
                return
            left -= got

    def _answer(self, body: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _xml(name: str, inner: str) -> bytes:
    return f"<?xml version='1.0'?><{name}>{inner}</{name}>".encode()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
