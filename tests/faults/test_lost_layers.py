"""Layers whose files are missing, cut or cannot be read: the answer is the specification's, and the log says so."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ecr_push import digest
from tests.support.oci_http import OciClient
from tests.support.server_process import ServerProcess

LARGE = bytes(range(256)) * 1024
RANGE = {"range": "bytes=0-99"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("lost") / "data", "--log-format", "json").start()
    try:
        yield running
    finally:
        running.stop()


def file_of(server: ServerProcess, content: bytes) -> Path:
    objects = (server.data / "blobs").rglob("*")
    return next(file for file in objects if file.is_file() and file.read_bytes() == content)


@pytest.mark.parametrize(
    ("damage", "status", "code"),
    [("missing", 404, "BLOB_UNKNOWN"), ("cut", 404, "BLOB_UNKNOWN"), ("unreadable", 500, "UNKNOWN")],
)
def test_a_get_of_a_lost_layer(server: ServerProcess, damage: str, status: int, code: str) -> None:
    content = LARGE + damage.encode()
    oci = OciClient(server)
    oci.push(f"lost/{damage}", "v1", content)
    file = file_of(server, content)
    if damage == "cut":
        file.write_bytes(content[:1000])
    else:
        file.unlink()
        if damage == "unreadable":
            file.symlink_to(file)  # a loop: nobody can open it, not even root
    for headers in ({}, RANGE):
        answer = oci("GET", f"/v2/lost/{damage}/blobs/{digest(content)}", None, **headers)
        assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (status, code)
    assert '"event": "layer ' in server.log.read_text()


def test_wrong_bytes_are_found_after_a_get_and_repaired_by_a_push(server: ServerProcess) -> None:
    """They went out once: hashing every layer on its way would cost more than the rest of a pull."""
    content = LARGE + b"flipped"
    oci = OciClient(server)
    oci.push("lost/flipped", "v1", content)
    path = f"/v2/lost/flipped/blobs/{digest(content)}"
    file = file_of(server, content)
    file.write_bytes(content[:-1] + b"D")
    assert oci("GET", path).body != content
    end = time.monotonic() + 60
    while oci("GET", path).status == 200:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert oci("GET", path).status == 404
    assert '"event": "layer damaged' in server.log.read_text()
    assert oci.push_blob("lost/flipped", content) == digest(content)
    assert oci("GET", path).body == content
