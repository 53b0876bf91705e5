"""kill -9 while layers are pushed: every one that was acknowledged is there to the last byte."""

import base64
import contextlib
import hashlib
import http.client
import threading
import time
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.xdist_group("kill")  # each needs all of a processor

BASIC = {"Authorization": "Basic " + base64.b64encode(b"test:any").decode()}


def test_layers_that_were_acknowledged_survive_a_kill(tmp_path: Path) -> None:
    """Over /v2/, small ones (kept in the metadata) and longer ones (kept in files), begun, filled and finished."""
    server = ServerProcess(tmp_path / "data").start()
    acknowledged: dict[str, bytes] = {}
    failures: list[BaseException] = []
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
        for serial in range(100_000):
            if stop.is_set():
                return
            content = b"%d %d " % (number, serial) * (1 if serial % 4 else 20_000)
            try:
                push(content)
            except (OSError, http.client.HTTPException):  # the server is being killed under this client
                time.sleep(0.05)
            except BaseException as failure:
                failures.append(failure)
                raise

    threads = [threading.Thread(target=push_on, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        enough, end = len(acknowledged) + 30, time.monotonic() + 120
        while len(acknowledged) < enough and time.monotonic() < end:
            time.sleep(0.01)
        server.kill()
        server.start()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert {len(content) > 1 << 16 for content in acknowledged.values()} == {True, False}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for digest, content in acknowledged.items():
        connection.request("GET", f"/v2/kill/layers/blobs/{digest}", headers=BASIC)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, content)
    connection.close()
    assert server.stop() == 0
