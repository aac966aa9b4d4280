"""S7 to S9: pictures that point elsewhere, and pictures that are not what they seem."""

from __future__ import annotations

import base64
import io
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.bootstrap import Running
from app.server.wire.pictures import MAX_IMAGES
from tests.conformance.security.conftest import ASKING, Port, Reply

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


def show(port: Port, url: Any) -> Reply:
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": url}]
    return port.chat(messages=[{"role": "user", "content": content}])


def show_elsewhere(port: Port, url: str) -> list[Reply]:
    """The same by the other endpoints that take addresses."""
    source = [{"type": "image", "source": {"type": "url", "url": url}}, {"type": "text", "text": "What is it?"}]
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
    return [
        port.ask("POST", "/v1/messages", {**ASKING, "messages": [{"role": "user", "content": source}]}),
        port.ask("POST", "/v1/messages/count_tokens", {"model": "ember", "messages": [{"role": "user", "content": source}]}),
        port.ask("POST", "/v1/responses", {"model": "ember", "input": items}),
        port.ask("POST", "/v1/responses/input_tokens", {"model": "ember", "input": items}),
    ]


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


class Trap(BaseHTTPRequestHandler):
    """A server on this machine that must never be asked."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()


@pytest.fixture
def trap() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Trap)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("allowed", [False, True], ids=["off", "on"])
@pytest.mark.parametrize(
    "where",
    [
        *(
            "http://127.0.0.1:{port}/x.png",
            "https://127.0.0.1:{port}/x.png",
            "https://localhost:{port}/",
            "https://[::1]:{port}/",
        ),
        *("https://[::ffff:127.0.0.1]:{port}/", "https://[64:ff9b::7f00:1]:{port}/", "https://[2002:7f00:1::]:{port}/"),
        *("https://127.1:{port}/", "https://2130706433:{port}/", "https://0x7f000001:{port}/", "https://0:{port}/"),
        *("https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/latest/", "https://100.100.100.200/latest/"),
        *("https://10.0.0.1/", "https://192.168.0.1/", "https://user:password@127.0.0.1:{port}/", "HTTPS://LOCALHOST:{port}/"),
    ],
)
def test_s7_ssrf_no_address_of_this_machine_or_its_networks_is_asked(
    program: Running, port: Port, trap: HTTPServer, on_loop: Callable[[Callable[[], Any]], Any], where: str, allowed: bool
) -> None:
    on_loop(lambda: program.services.settings.update(fetch_images=allowed))
    try:
        reply = show(port, {"url": where.format(port=trap.server_port)})
        others = show_elsewhere(port, where.format(port=trap.server_port))
    finally:
        on_loop(lambda: program.services.settings.update(fetch_images=False))
    assert {one.status for one in (reply, *others)} == {400}
    assert reply.error["param"] == "messages[0].content[1].image_url"
    assert trap.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd", "/etc/passwd", "../../etc/passwd"),
        *("ftp://127.0.0.1/x", "gopher://127.0.0.1:70/_x", "dict://127.0.0.1/", r"\\host\share\x.png", "//host/share/x.png"),
        *(
            "C:\\Windows\\win.ini",
            "jar:file:///x!/y",
            "data:",
            "data:image/png;base64",
            "data:text/html,<b>",
            "",
            " ",
            "x" * 100_000,
        ),
        *(
            " file:///etc/passwd",
            "url:file:///etc/passwd",
            "\u0000file:///etc/passwd",
            "javascript:alert(1)",
            "blob:http://x/y",
        ),
    ],
)
@pytest.mark.parametrize("allowed", [False, True], ids=["off", "on"])
def test_s8_local_files_and_other_schemes_are_never_opened(
    program: Running, port: Port, on_loop: Callable[[Callable[[], Any]], Any], url: str, allowed: bool
) -> None:
    on_loop(lambda: program.services.settings.update(fetch_images=allowed))
    try:
        replies = [show(port, url), show(port, {"url": url, "detail": "low"})]
        replies += show_elsewhere(port, url)
    finally:
        on_loop(lambda: program.services.settings.update(fetch_images=False))
    for reply in replies:
        assert reply.status == 400
        assert "root:" not in reply.body


def png(width: int, height: int, *, rows: int = 0) -> bytes:
    """A PNG that claims a size and has `rows` of black of it."""
    packed = zlib.compress(bytes(1 + width * 3) * rows, 9)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def saved(kind: str, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("L", size).save(file, kind)
    return file.getvalue()


def scanned_again_and_again() -> bytes:
    file = io.BytesIO()
    Image.new("L", (7000, 7000), 128).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    return data[:-2] + 3000 * data[data.rfind(b"\xff\xda") : -2] + b"\xff\xd9"


BOMBS = {
    "jpeg of 3,000 scans": scanned_again_and_again,
    "png of 400 Mpx": lambda: png(20_000, 20_000, rows=800),
    "png of 4.6 Tpx": lambda: png(2**31 - 1, 2**31 - 1),
    "png, one long side": lambda: png(40_000, 600, rows=2),
    "gif": lambda: (
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
    ),
    "bmp": lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 1, 1, 0, 0),
    "webp": lambda: b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\0\xff\xff\0" + bytes(40),
    "tiff": lambda: saved("TIFF", (12_000, 12_000)),
    "jpeg": lambda: saved("JPEG", (12_000, 12_000)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_s9_a_picture_that_would_unpack_to_too_much_is_refused_at_once(program: Running, port: Port, kind: str) -> None:
    assert show(port, data_url(saved("PNG", (64, 64)))).status == 200
    bomb = data_url(BOMBS[kind]())
    before = _peak_kib(program)
    begun = time.perf_counter()
    reply = show(port, bomb)
    took_s = time.perf_counter() - begun
    assert reply.status in (400, 413)
    # A fifth of a second at most on a machine of its own.
    assert took_s < (1 if len(bomb) < 2**20 else 10)
    assert _peak_kib(program) - before < 50 * 1024 + 20 * len(bomb) // 1024


def _peak_kib(program: Running) -> int:
    """The most memory that any worker has had so far, where the system tells."""
    if not Path("/proc/self/task").exists():
        return 0
    pids = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    peaks = [0]
    for pid in pids:
        status = Path("/proc", pid, "status").read_text()
        peaks += [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks)


def test_s9_too_many_or_too_large_files_are_refused(port: Port) -> None:
    small = {"type": "image_url", "image_url": {"url": data_url(saved("PNG", (8, 8)))}}
    assert port.chat(messages=[{"role": "user", "content": [small] * (MAX_IMAGES + 1)}]).status == 400
    assert "20 MiB" in show(port, data_url(bytes(21 * 2**20))).error["message"]
    assert port.ask("POST", "/v1/chat/completions", bytes(65 * 2**20)).status == 413


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("detail", ["low", "high", "auto"])
def test_s9_every_format_is_read_in_every_detail(port: Port, kind: str, detail: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (900, 700), (255, 0, 0)).save(file, kind)
    assert show(port, {"url": data_url(file.getvalue()), "detail": detail}).status == 200


def test_s9_a_damaged_picture_takes_nothing_down(port: Port) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"):
        file = io.BytesIO()
        Image.effect_noise((64, 64), 50).convert("RGB").save(file, kind)
        data = file.getvalue()
        for damaged in (data[: len(data) // 2], data[:20], data[:30] + b"\xff" * 40 + data[70:]):
            assert show(port, data_url(damaged)).status in (200, 400)
    assert port.chat().status == 200
