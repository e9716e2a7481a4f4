"""Archives on 127.0.0.1 for tests: honest ones, and such as lie, break off or never end."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ranvier.datasets.description import Archive, DataSet

ASSET = "0b1c2d3e-0000-4000-8000-{:012d}"


def subject_of(path: str) -> str:
    """The folder of a file; those beside the folders are for everybody."""
    return path.partition("/")[0] if "/" in path else ""


MADE = DataSet(
    name="made",
    title="Made recordings",
    task="seizure",
    subjects=2,
    hours=0.1,
    gigabytes=0.001,
    licence="CC0",
    citation="Nobody, 2024",
    page="https://example.org/made",
    access="",
    tested="files made to its description",
    recognise=Path.is_dir,
    read=lambda folder: [],
    archive=Archive("physionet", "made/1.0.0", subject_of),
)


class Handler(BaseHTTPRequestHandler):
    """Answers as an archive does, unless the next fault of a path says otherwise."""

    server: "ArchiveServer"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        faults = self.server.faults.get((self.command, path), [])
        self.close_connection = True
        if faults:
            faults.pop(0)(self, self.server.pages.get(path, b""))
        elif (page := self.server.pages.get(self.path, self.server.pages.get(path))) is None:
            status(404)(self, b"")
        else:
            honest(self, page)

    def do_HEAD(self) -> None:
        self.do_GET()

    def head(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, content: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


class ArchiveServer(ThreadingHTTPServer):
    """Gives pages by their path; what was asked is kept."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, bytes] = {}
        self.faults: dict[tuple[str, str], list[Fault]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "ArchiveServer":
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *about: object) -> None:
        """Clients may leave."""

    def spoil(self, path: str, *faults: "Fault", method: str = "GET") -> None:
        """Let the next answers for a file of ``publish`` be these."""
        self.faults[method, f"/files/made/1.0.0/{path}"] = list(faults)

    def fetched(self, path: str) -> int:
        return sum(
            method == "GET" and asked.endswith(f"/{path}") for method, asked, _ in self.asked
        )

    def publish(self, files: dict[str, bytes]) -> None:
        """Be PhysioNet."""
        lines = [f"{hashlib.sha256(body).hexdigest()} {path}" for path, body in files.items()]
        self.list("\n".join(lines).encode())
        self.pages |= {f"/files/made/1.0.0/{path}": body for path, body in files.items()}

    def list(self, text: bytes) -> None:
        self.pages["/files/made/1.0.0/SHA256SUMS.txt"] = text

    def publish_zenodo(self, files: dict[str, bytes], **changes: object) -> None:
        """Be record 17 of Zenodo."""
        listed = [
            {
                "key": name,
                "size": len(body),
                "checksum": f"md5:{hashlib.md5(body).hexdigest()}",
                "links": {"self": "file:///etc/hostname"},
                **changes,
            }
            for name, body in files.items()
        ]
        self.pages["/17"] = json.dumps({"id": 17, "files": listed}).encode()
        self.pages |= {f"/17/files/{name}/content": body for name, body in files.items()}

    def publish_dandi(self, files: dict[str, bytes], **changes: object) -> None:
        """Be set 000001 of DANDI, with one file on each page; storage is behind a redirect."""
        published = {"most_recent_published_version": {"version": "0.2"}, "draft_version": {}}
        self.pages["/dandisets/000001/"] = json.dumps(published).encode()
        place = (
            "/dandisets/000001/versions/0.2/assets/?metadata=true&order=path&page_size=200&page="
        )
        for number, (path, body) in enumerate(files.items(), start=1):
            name = ASSET.format(number)
            asset = {
                "asset_id": name,
                "path": path,
                "size": len(body),
                "metadata": {"digest": {"dandi:sha2-256": hashlib.sha256(body).hexdigest()}},
                **changes,
            }
            more = f"{self.url}/anything" if number < len(files) else None
            page = {"count": None, "next": more, "results": [asset]}
            self.pages[f"{place}{number}"] = json.dumps(page).encode()
            self.faults["GET", f"/assets/{name}/download/"] = [redirect(f"/storage/{path}")] * 2
            self.pages[f"/storage/{path}"] = body


Fault = Callable[[Handler, bytes], None]


def tag_of(page: bytes) -> str:
    return f'"{hashlib.sha256(page).hexdigest()[:16]}"'


def honest(asked: Handler, page: bytes) -> None:
    """Answer in full, or with the part that was asked for if it is still of this version."""
    found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("Range", ""))
    first = int(found[1]) if found else 0
    if not first or asked.headers.get("If-Range", tag_of(page)) != tag_of(page):
        asked.head(200, Content_Length=len(page), ETag=tag_of(page))
        return asked.body(page)
    if first >= len(page):
        return asked.head(416, Content_Range=f"bytes */{len(page)}", Content_Length=0)
    said = f"bytes {first}-{len(page) - 1}/{len(page)}"
    asked.head(206, Content_Length=len(page) - first, Content_Range=said, ETag=tag_of(page))
    return asked.body(page[first:])


def whole(asked: Handler, page: bytes) -> None:
    """Know no ranges."""
    asked.head(200, Content_Length=len(page))
    asked.body(page)


def unmeasured(asked: Handler, page: bytes) -> None:
    """Say no length; the end of the connection is the end of the file."""
    asked.head(200)
    asked.body(page)


def status(code: int, **headers: object) -> Fault:
    return lambda asked, page: asked.head(code, Content_Length=0, **headers)


def redirect(target: str) -> Fault:
    return lambda asked, page: asked.head(302, Location=target, Content_Length=0)


def sends(content: bytes, **headers: object) -> Fault:
    """Send other bytes, with their true length unless told otherwise."""

    def answer(asked: Handler, page: bytes) -> None:
        asked.head(200, **{"Content_Length": len(content), **headers})
        asked.body(content)

    return answer


def part(content: bytes, said: str) -> Fault:
    """Send a part and call it something."""

    def answer(asked: Handler, page: bytes) -> None:
        asked.head(206, Content_Length=len(content), Content_Range=said)
        asked.body(content)

    return answer


def breaks_off(after: int) -> Fault:
    """Promise all from the byte that was asked for and hang up in between."""

    def answer(asked: Handler, page: bytes) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("Range", ""))
        first = int(found[1]) if found else 0
        said = f"bytes {first}-{len(page) - 1}/{len(page)}"
        code, more = (206, {"Content_Range": said}) if first else (200, {})
        asked.head(code, Content_Length=len(page) - first, ETag=tag_of(page), **more)
        asked.body(page[first : first + after])

    return answer


def endless(asked: Handler, page: bytes) -> None:
    """Send on and on, as chunks, until the client has enough."""
    asked.head(200, Transfer_Encoding="chunked")
    while True:
        asked.wfile.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


def drips(asked: Handler, page: bytes) -> None:
    """Send a byte now and then."""
    asked.head(200, Content_Length=len(page))
    for byte in page:
        asked.wfile.write(bytes([byte]))
        time.sleep(0.02)


def hangs_up(asked: Handler, page: bytes) -> None:
    """Say nothing at all."""


def babbles(asked: Handler, page: bytes) -> None:
    """Say what is not HTTP."""
    asked.wfile.write(b"\x00\xff\x1b[31m nonsense\r\n\r\n")
