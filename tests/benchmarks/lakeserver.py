"""An S3 server with as many objects as are asked for, all of them one file, of which it has one.

It answers what a load in place asks: `python -m tests.benchmarks.lakeserver PORT FILE OBJECTS`.
"""

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_PAGE = 1_000
"""The most objects of one answer, as S3 has it."""


class Lake(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    file = Path()
    objects = 0

    def do_PUT(self) -> None:  # http.server's name
        """Take an object or a bucket, and keep nothing."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(b"", ETag='"0"')

    def do_HEAD(self) -> None:  # http.server's name
        """Tell of an object."""
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(self.file.stat().st_size))
        self.end_headers()

    def do_GET(self) -> None:  # http.server's name
        """List the objects, or give a part of one."""
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" in asked:
            start = int(asked.get("continuation-token", ["0"])[0])
            self._answer("".join(self._list(start)).encode())
            return
        size = self.file.stat().st_size
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        begin = int(first) if first else max(size - int(last), 0)
        end = min(int(last) + 1 if first and last else size, size)
        with self.file.open("rb") as file:
            file.seek(begin)
            data = file.read(end - begin)
        whole = f"bytes {begin}-{end - 1}/{size}"
        self._answer(data, 206, **{"ETag": '"1"', "Content-Range": whole})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _list(self, start: int) -> Iterator[str]:
        end = min(start + _PAGE, self.objects)
        yield f"<?xml version='1.0'?><ListBucketResult><KeyCount>{end - start}</KeyCount>"
        size = self.file.stat().st_size
        for number in range(start, end):
            facts = f"<ETag>&quot;1&quot;</ETag><Size>{size}</Size>"
            yield f"<Contents><Key>lake/{number:06}.parquet</Key>{facts}</Contents>"
        if end < self.objects:
            yield f"<IsTruncated>true</IsTruncated><NextContinuationToken>{end}"
            yield "</NextContinuationToken>"
        yield "</ListBucketResult>"

    def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    Lake.file, Lake.objects = Path(sys.argv[2]), int(sys.argv[3])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Lake).serve_forever()
