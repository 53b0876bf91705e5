"""Large layers on their way out: whole, in part, over HTTP/2 and TLS, to clients that leave, while they are deleted."""

import base64
import hashlib
import http.client
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.server_process import MOORAGE, ServerProcess
from tests.support.tools import missing

SIZE = 48 << 20
BASIC = {"Authorization": "Basic " + base64.b64encode(b"test:any").decode()}


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture(scope="module", params=["http", "https"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("large")
    options: list[str] = []
    if request.param == "https":
        subprocess.run([MOORAGE, "ca", "--out", str(directory / "tls")], check=True, capture_output=True)
        certificate, key = sorted((directory / "tls").rglob("server.*"))
        options = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    server = ServerProcess(directory / "data", *options).start(environment={"MOORAGE_HTTP2": "true"})
    yield server
    assert server.stop() == 0


def connect(server: ServerProcess) -> http.client.HTTPConnection:
    if server.scheme == "http":
        return http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=context)


def ask(server: ServerProcess, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = connect(server)
    connection.request(method, path, body, BASIC | {name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, read


@pytest.fixture
def path(server: ServerProcess, content: bytes) -> str:
    """Where the layer is, pushed if it is not there."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    path = f"/v2/large/app/blobs/{digest}"
    if ask(server, "HEAD", path)[0] != 200:
        assert ask(server, "POST", f"/v2/large/app/blobs/uploads/?digest={digest}", content)[0] == 201
    return path


def resident(server: ServerProcess) -> int:
    process = psutil.Process(server.pid)
    return max(each.memory_info().rss for each in (process, *process.children(recursive=True)))


def test_whole_and_in_part(server: ServerProcess, path: str, content: bytes) -> None:
    assert ask(server, "GET", path) == (200, content)
    assert ask(server, "GET", path, Range="bytes=5-9") == (206, content[5:10])
    assert ask(server, "GET", path, Range=f"bytes={3 << 20}-") == (206, content[3 << 20 :])
    assert ask(server, "GET", path, Range=f"bytes={SIZE}-")[0] == 416
    assert ask(server, "GET", path, Authorization="Basic AAAA")[0] == 401


def test_over_http_2(server: ServerProcess, path: str, content: bytes, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("curl")
    how = "--http2-prior-knowledge" if server.scheme == "http" else "--http2"
    command = [
        "curl",
        "-sS",
        "-f",
        "-k",
        how,
        "-w",
        "%{http_version}",
        "-H",
        f"Authorization: {BASIC['Authorization']}",
    ]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "out"), server.url + path], check=True, capture_output=True, text=True
    )
    assert done.stdout == "2"
    assert (tmp_path / "out").read_bytes() == content


def test_clients_that_stop_reading_or_leave_cost_no_memory(server: ServerProcess, path: str, content: bytes) -> None:
    ask(server, "GET", path)
    before = resident(server)
    slow = []
    for _ in range(8):
        connection = connect(server)
        connection.request("GET", path, headers=BASIC)
        answer = connection.getresponse()
        assert answer.read(1 << 16) == content[: 1 << 16]
        slow.append((connection, answer))
    assert resident(server) - before < 32 << 20
    for connection, answer in slow[1:]:
        answer.close()
        connection.close()
    assert slow[0][1].read() == content[1 << 16 :]
    slow[0][0].close()
    assert ask(server, "GET", path, Range="bytes=0-0") == (206, content[:1])


def test_a_layer_deleted_half_way_still_arrives(server: ServerProcess, path: str, content: bytes) -> None:
    connection = connect(server)
    connection.request("GET", path, headers=BASIC)
    answer = connection.getresponse()
    first = answer.read(1 << 16)
    assert ask(server, "DELETE", path)[0] == 202
    for each in (server.data / "blobs" / "objects").rglob("*"):  # as the sweep does when the grace period is over
        if each.is_file():
            each.unlink()
    assert first + answer.read() == content
    connection.close()
    assert ask(server, "GET", path)[0] == 404
