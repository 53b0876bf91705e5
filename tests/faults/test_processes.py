"""Supervisor and workers: killed, terminated while they start, and asked to end while a client stalls."""

import base64
import contextlib
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.command_line import run_moorage
from tests.support.ecr_push import digest
from tests.support.oci_http import OciClient
from tests.support.server_process import MOORAGE, ServerProcess
from tests.support.waiting import wait_until

_PATIENCE = 15.0
AUTHORIZATION = "Basic " + base64.b64encode(b"test:any").decode()


def workers(server: ServerProcess) -> list[int]:
    """The process ids of the server's workers."""
    return [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@contextmanager
def serving(tmp_path: Path, *options: str, **environment: str) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data", *options).start(environment=environment)
    number = int(options[options.index("--workers") + 1]) if "--workers" in options else 1
    try:
        wait_until(lambda: len(workers(server)) == number)
        yield server
        assert server.stop() == 0
    finally:
        server.kill()


@contextmanager
def stalled_upload(server: ServerProcess) -> Iterator[None]:
    """A client that has sent half of a layer and then nothing more."""
    location = OciClient(server)("POST", "/v2/stalled/blobs/uploads/").headers["location"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("PATCH", location)
    connection.putheader("Authorization", AUTHORIZATION)
    connection.putheader("Content-Length", str(2 << 20))
    connection.endheaders(bytes(1 << 20))
    wait_until(lambda: any(file.stat().st_size for file in (server.data / "blobs").rglob("*") if file.is_file()))
    try:
        yield
    finally:
        connection.close()


def test_workers_are_forked_from_one_thread(tmp_path: Path) -> None:
    """A process that forks while it has other threads gives its child their locks, locked for ever."""
    with serving(tmp_path, "--workers", "2") as server:
        assert threads(server.pid) == 1
        os.kill(workers(server)[0], signal.SIGKILL)
        wait_until(lambda: len(workers(server)) == 2)
        assert threads(server.pid) == 1


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        orphans = workers(server)
        assert len(orphans) == 2
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(lives, orphans)))
        wait_until(lambda: refused(server.port))
        server.wait()
        server.start()


@pytest.mark.parametrize("number", [1, 2])
def test_the_server_survives_a_worker_that_dies_again_and_again(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, "--workers", str(number)) as server:
        oci = OciClient(server)
        for tag in ("v1", "v2", "v3"):
            known = workers(server)
            os.kill(known[-1], signal.SIGKILL)
            wait_until(partial(replaced, server, known))
            server.wait_until_ready()
            oci.push("dying", tag, b"content")


def replaced(server: ServerProcess, known: list[int]) -> bool:
    """Whether there are as many workers as in `known`, and not the same."""
    found = workers(server)
    return len(found) == len(known) and found != known


def test_a_stalled_upload_does_not_hold_the_shutdown(tmp_path: Path) -> None:
    slow = {"MOORAGE_SHUTDOWN_SECONDS": "1", "MOORAGE_BODY_PAUSE_SECONDS": "3600"}
    with serving(tmp_path, "--log-format", "json", **slow) as server:
        with stalled_upload(server):
            server.terminate()
            assert server.wait() == 0
        assert '"requests": 1' in server.log.read_text()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_server_at_once(tmp_path: Path, sent: signal.Signals) -> None:
    slow = {"MOORAGE_SHUTDOWN_SECONDS": "3600", "MOORAGE_BODY_PAUSE_SECONDS": "3600"}
    with serving(tmp_path, **slow) as server, stalled_upload(server):
        os.killpg(server.pid, sent)  # as a terminal does it: the workers hear it as well
        wait_until(lambda: refused(server.port))
        assert all(map(lives, [server.pid, *workers(server)]))
        os.killpg(server.pid, sent)
        assert server.wait() == 0


def refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_signals_to_all_processes_end_a_server_that_is_starting(tmp_path: Path, sent: signal.Signals) -> None:
    server = ServerProcess(tmp_path / "data", "--workers", "2").start(wait=False)
    try:
        wait_until(lambda: len(workers(server)) > 0)
        known = workers(server)
        end = time.monotonic() + _PATIENCE
        while any(map(lives, [server.pid, *known])):
            assert time.monotonic() < end, "it did not end"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, sent)
            time.sleep(0.05)
    finally:
        server.kill()


def test_port_zero_tells_its_port(tmp_path: Path) -> None:
    arguments = [MOORAGE, "dev", "--port", "0", "--workers", "2", "--data", str(tmp_path / "data")]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = next(line for line in process.stderr if "ready on" in line)
            found = re.search(r"http://localhost:(\d+)", said)
            assert found is not None
            assert found[1] != "0"
            for _ in range(4):
                connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
                connection.request("GET", "/_moorage/ready")
                assert connection.getresponse().status == 200
                connection.close()
            advice = "".join(next(process.stderr) for _ in range(5))
            assert f"localhost:{found[1]}/team/app" in advice
            assert f"env --port {found[1]}" in advice
        finally:
            process.terminate()
        assert process.wait(_PATIENCE) == 0


def test_sighup_reloads_the_certificate_and_keeps_the_old_one_if_the_new_one_is_bad(tmp_path: Path) -> None:
    def make() -> str:
        run_moorage("ca", "--out", str(tmp_path / "tls"), "127.0.0.1")
        return (tmp_path / "tls" / "server.crt").read_text().partition("-----END")[0].strip()

    def served() -> str | None:
        try:
            whole = ssl.get_server_certificate(("127.0.0.1", server.port))
        except ssl.SSLEOFError:  # a worker that is being replaced took the connection, and ended before its handshake
            return None
        return whole.partition("-----END")[0].strip()

    first = make()
    options = ["--tls-cert", str(tmp_path / "tls" / "server.crt"), "--tls-key", str(tmp_path / "tls" / "server.key")]
    with serving(tmp_path, *options) as server:
        assert served() == first
        second = make()
        assert second != first
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: served() == second)
        (tmp_path / "tls" / "server.key").write_text("no key")
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: "workers not replaced" in server.log.read_text())
        assert served() == second


def test_what_is_pushed_while_workers_are_replaced_is_there(tmp_path: Path) -> None:
    """SIGHUP replaces the workers one generation after the other; requests that they have are finished."""
    content = os.urandom(2 << 20)
    with serving(tmp_path, "--workers", "2") as server:
        oci = OciClient(server)
        location = oci("POST", "/v2/replaced/blobs/uploads/").headers["location"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.putrequest("PUT", f"{location}?digest={digest(content)}")
        connection.putheader("Authorization", AUTHORIZATION)
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content[: 1 << 20])
        wait_until(lambda: any(file.stat().st_size for file in (server.data / "blobs").rglob("*") if file.is_file()))
        known = workers(server)
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: len(set(workers(server)) - set(known)) == 2 and len(workers(server)) == 3)
        oci.push("replaced", "v1", b"content")
        connection.send(content[1 << 20 :])
        assert connection.getresponse().status == 201
        connection.close()
        wait_until(lambda: not any(map(lives, known)))
        assert oci("GET", f"/v2/replaced/blobs/{digest(content)}").body == content
