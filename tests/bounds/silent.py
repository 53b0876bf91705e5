"""Clients that connect and then do not go on, and a bomb of HTTP/2 headers."""

import contextlib
import resource
import socket
import ssl
import struct
import time
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
FLOODER = "127.0.0.2"


def _hello() -> bytes:
    """The first bytes of a TLS handshake."""
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def trusting() -> ssl.SSLContext:
    """Takes any certificate, as a flooder does."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


FIRST_BYTES = {
    "silent": b"",
    "half a header": b"GET / HTTP/1.1\r\nHost: loc",
    "half a TLS hello": _hello()[:50],
    "half an HTTP/2 preface": PREFACE[:10],
    "an HTTP/2 preface": PREFACE + SETTINGS,
}


def open_more_files() -> None:
    """This process may have as many connections open as the system lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384) if hard > 0 else 16_384, hard))


@contextlib.contextmanager
def connected(port: int, number: int, first: bytes, *, tls: bool = False) -> Iterator[list[socket.socket]]:
    """`number` connections of one address that have sent `first` and nothing else."""
    context = trusting()
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(number):
            one = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(FLOODER, 0))
            if tls:
                one = context.wrap_socket(one)
            stack.callback(one.close)
            one.sendall(first)
            opened.append(one)
        yield opened


def is_open(one: socket.socket) -> bool:
    """Whether the server has not closed the connection."""
    one.setblocking(False)
    try:
        while one.recv(4096):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False


def seconds_until_served(port: int, *, tls: bool = False, limit: float = 60.0) -> float:
    """How long another client waits for an answer of the server."""
    start = time.monotonic()
    while time.monotonic() < start + limit:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=limit) as plain:
                one = trusting().wrap_socket(plain) if tls else plain
                one.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if one.recv(12).startswith(b"HTTP/1.1 401"):
                    return time.monotonic() - start
        except OSError:
            time.sleep(0.05)
    return limit


def header_bomb(copies: int = 800_000) -> bytes:
    """A request of HTTP/2 whose header block repeats one header of 4 KB, a byte for each copy (RFC 7541, section 7)."""
    name, value = b"a", b"x" * 3900
    length = struct.pack("!B", 0x7F) + _rest(len(value) - 127)
    block = b"\x82\x86\x84\x41\x09localhost\x40" + bytes([len(name)]) + name + length + value + b"\xbe" * copies
    frames = [PREFACE, SETTINGS]
    for at in range(0, len(block), 16_000):
        part = block[at : at + 16_000]
        flags = 4 if at + 16_000 >= len(block) else 0
        frames.append(
            struct.pack("!I", len(part))[1:] + bytes([1 if at == 0 else 9, flags | (at == 0)]) + b"\0\0\0\1" + part
        )
    return b"".join(frames)


def _rest(number: int) -> bytes:
    """An integer of HPACK beyond its prefix."""
    out = b""
    while number >= 128:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])
