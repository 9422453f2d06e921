"""A server of byte ranges: ``ranges.py FOLDER BROKEN_FROM`` prints its port.

Answers end where the file's byte BROKEN_FROM would come; what was sent is counted in FOLDER/sent.
"""

import http.server
import sys
from pathlib import Path


class Ranges(http.server.BaseHTTPRequestHandler):
    folder: Path
    broken_from: int

    def do_HEAD(self) -> None:
        self._answer(content=False)

    def do_GET(self) -> None:
        self._answer(content=True)

    def _answer(self, *, content: bool) -> None:
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        held = path.read_bytes()
        start, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        first, stop = int(start), min(int(last or len(held)) + 1, len(held))
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{len(held)}")
        self.send_header("Content-Length", str(stop - first))
        self.end_headers()
        if content:
            sent = held[first : max(first, min(stop, self.broken_from))]
            with (self.folder / "sent").open("a") as count:
                count.write(f"{len(sent)}\n")
            self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    Ranges.folder, Ranges.broken_from = Path(sys.argv[1]), int(sys.argv[2])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
