"""kill -9 while layers are pushed: every layer whose push was acknowledged is complete."""

import base64
import contextlib
import hashlib
import http.client
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.xdist_group("kill")  # each needs all of a processor

BASIC = {"Authorization": "Basic " + base64.b64encode(b"test:any").decode()}


def test_layers_that_were_acknowledged_survive_a_kill(tmp_path: Path) -> None:
    """Small layers are kept in the metadata and larger ones in files; both are pushed while the server is killed."""
    server = ServerProcess(tmp_path / "data").start()
    acknowledged: dict[str, bytes] = {}
    stop = threading.Event()

    def push(content: bytes) -> None:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        location = "/v2/kill/layers/blobs/uploads/"
        with contextlib.closing(connection):
            for method, body, expected in (("POST", b"", 202), ("PATCH", content, 202), ("PUT", b"", 201)):
                query = f"?digest={digest}" if method == "PUT" else ""
                connection.request(method, location + query, body, BASIC)
                answer = connection.getresponse()
                answer.read()
                if answer.status >= 500:
                    raise ConnectionError(answer.status)
                assert answer.status == expected
                location = answer.headers["Location"]
        acknowledged[digest] = content

    def push_on(number: int) -> None:
        for serial in itertools.count():
            if stop.is_set():
                return
            content = b"%d %d " % (number, serial) * (1 if serial % 4 else 20_000)
            try:
                push(content)
            except (OSError, http.client.HTTPException):  # the server is being killed
                time.sleep(0.05)

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(push_on, number) for number in range(8)]
        try:
            for _ in range(3):
                enough = len(acknowledged) + 30
                end = time.monotonic() + 120
                while len(acknowledged) < enough and not any(each.done() for each in clients):
                    assert time.monotonic() < end, "nothing is served any more"
                    time.sleep(0.01)
                server.kill()
                server.start()
        finally:
            stop.set()
    for each in clients:
        each.result()
    assert {len(content) > 1 << 16 for content in acknowledged.values()} == {True, False}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for digest, content in acknowledged.items():
        connection.request("GET", f"/v2/kill/layers/blobs/{digest}", headers=BASIC)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, content)
    connection.close()
    assert server.stop() == 0
