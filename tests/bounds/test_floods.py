"""A worker's memory under floods of what strangers send: measured, by `make torture`."""

import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bounds.memory import resident_mib, say
from tests.support.server_process import ServerProcess

NUMBER = 100_000
AT_ONCE = 500
LONG = "x" * 200


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path / "data").start(environment={"MOORAGE_ANONYMOUS_PULL": "true"})
    yield running
    running.stop()


def basic(password: str) -> str:
    return base64.b64encode(f"AWS:{password}".encode()).decode()


def token_id(number: int) -> str:
    return "MPTK" + "".join("ABCDEFGHIJ"[int(digit)] for digit in f"{number:016d}")


FLOODS: dict[str, Callable[[int], str]] = {
    "hosts": lambda n: f"GET /v2/ HTTP/1.1\r\nHost: h{n}{LONG}.example\r\n\r\n",
    "methods": lambda n: f"M{n}{LONG} /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "pull tokens": lambda n: (
        f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {basic(f'mrg_{token_id(n)}_{n:043d}')}\r\n\r\n"
    ),
    "passwords": lambda n: (
        f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {basic(LONG + str(n))}\r\n\r\n"
    ),
    "bearer tokens": lambda n: f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {LONG}{n}\r\n\r\n",
    "signatures": lambda n: (
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Date: 20260101T000000Z\r\nContent-Length: 0\r\n"
        "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.DescribeRepositories\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA{n:016d}/20260101/us-east-1/ecr/aws4_request, "
        f"SignedHeaders=host;x-{n}, Signature={n:064d}\r\n\r\n"
    ),
}


def flood(port: int, make: Callable[[int], str], first: int, number: int) -> None:
    """Send that many over one connection, some hundred at a time, and read every answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as one:
        for at in range(first, first + number, AT_ONCE):
            one.sendall("".join(map(make, range(at, at + AT_ONCE))).encode())
            answered, rest = 0, b""
            while answered < AT_ONCE:
                piece = one.recv(1 << 20)
                assert piece, f"the server closed the connection after {at + answered} requests"
                answered += (rest + piece).count(b"HTTP/1.1 ") - rest.count(b"HTTP/1.1 ")
                rest = piece[-8:]


@pytest.mark.torture
@pytest.mark.parametrize("kind", FLOODS)
def test_memory_stays_flat(server: ServerProcess, kind: str) -> None:
    flood(server.port, FLOODS[kind], 0, 5_000)
    before = resident_mib(server.pid)
    flood(server.port, FLOODS[kind], 5_000, NUMBER)
    after = resident_mib(server.pid)
    say(f"{NUMBER} {kind}: {before:.0f} MiB before, {after:.0f} MiB after")
    assert after < before + 20
