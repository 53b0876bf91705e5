"""Connections: silent ones are dropped, one address has only so many, and others are served meanwhile."""

import contextlib
import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from moorage.connections import ConnectionWatch, Requests
from tests.bounds import silent
from tests.bounds.memory import resident_mib, say
from tests.support.command_line import run_moorage
from tests.support.server_process import MOORAGE, ServerProcess

HTTP2 = {"MOORAGE_HTTP2": "true"}


@contextlib.contextmanager
def serving(tmp_path: Path, environment: dict[str, str] | None = None, *, tls: bool = False) -> Iterator[ServerProcess]:
    options: tuple[str, ...] = ()
    if tls:
        run_moorage("ca", "--out", str(tmp_path / "tls"), "localhost", "127.0.0.1")
        files = ("--tls-cert", str(tmp_path / "tls" / "server.crt"), "--tls-key", str(tmp_path / "tls" / "server.key"))
        options = files
    tmp_path.mkdir(exist_ok=True)
    server = ServerProcess(tmp_path / "data", *options).start(environment=environment)
    silent.seconds_until_served(server.port, tls=tls)
    try:
        yield server
    finally:
        server.stop()


class Listening:
    """A listening socket and what it accepted, in this process."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.clients: list[socket.socket] = []
        self.accepted: list[socket.socket] = []

    def connect(self, number: int, address: str = silent.FLOODER) -> None:
        for _ in range(number):
            self.clients.append(socket.create_connection(("127.0.0.1", self.port), source_address=(address, 0)))
            self.accepted.append(self.listener.accept()[0])

    def close(self) -> None:
        for each in (self.listener, *self.clients, *self.accepted):
            each.close()


@pytest.fixture
def listening() -> Iterator[Listening]:
    made = Listening()
    yield made
    made.close()


def test_the_surplus_of_one_address_is_closed_and_that_of_others_is_not_touched(listening: Listening) -> None:
    listening.connect(12)
    listening.connect(3, "127.0.0.1")
    assert ConnectionWatch(listening.port, 5, ()).look() == 7
    assert [silent.is_open(each) for each in listening.clients[12:]] == [True] * 3
    assert sum(silent.is_open(each) for each in listening.clients[:12]) == 5


def test_the_most_idle_go_first(listening: Listening) -> None:
    listening.connect(6)
    time.sleep(0.2)
    for busy in (1, 4):
        listening.clients[busy].sendall(b"x")
    assert ConnectionWatch(listening.port, 2, ()).look() == 4
    assert [at for at, each in enumerate(listening.clients) if silent.is_open(each)] == [1, 4]


def test_proxies_bring_the_connections_of_many(listening: Listening) -> None:
    listening.connect(6)
    assert ConnectionWatch(listening.port, 2, [ip_network("127.0.0.0/8")]).look() == 0
    assert ConnectionWatch(listening.port, 0, ()).look() == 0


def test_idle_connections_are_closed_unless_a_request_is_under_way(listening: Listening) -> None:
    async def application(scope: object, receive: object, send: object) -> None:
        raise NotImplementedError

    busy = Requests(application)
    listening.connect(3)
    time.sleep(2.2)
    listening.clients[0].sendall(b"x")
    address, port = listening.clients[1].getsockname()
    busy._under_way[(address, str(port))] = 1
    watch = ConnectionWatch(listening.port, 0, (), idle_seconds=2, busy=busy)
    assert watch.look() == 1
    assert [silent.is_open(each) for each in listening.clients] == [True, True, False]


async def test_requests_under_way_are_known_by_their_client() -> None:
    seen = []

    async def application(_scope: object, receive: object, send: object) -> None:
        seen.append(("127.0.0.1", 50_000) in requests)
        if len(seen) < 2:
            await requests({"client": ("127.0.0.1", "50000")}, receive, send)
            seen.append(("127.0.0.1", 50_000) in requests)

    requests = Requests(application)
    await requests({"client": ("127.0.0.1", "50000")}, None, None)
    assert seen == [True, True, True]
    assert requests._under_way == {}


def test_open_files_are_raised_to_what_the_system_allows() -> None:
    code = "import resource as r, moorage.server as s; print(s.raise_open_files(), r.getrlimit(r.RLIMIT_NOFILE)[0])"
    python = Path(MOORAGE).with_name("python")
    for limits, wanted in (("ulimit -Sn 256; ulimit -Hn 4000", 4000), ("ulimit -n 1024", 1024)):
        done = subprocess.run(["bash", "-c", f"{limits}; exec {python} -c '{code}'"], capture_output=True, check=True)
        assert done.stdout.split() == [str(wanted).encode()] * 2


def test_headers_that_are_too_long_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as server:

        def status(name: str, length: int) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            with contextlib.closing(connection):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.request("GET", "/v2/", headers={name: "a" * length})
                return connection.getresponse().status

        assert status("X-Long", 60_000) == 401
        assert status("X-Long", 70_000) == 431
        assert status("X-Long", 950_000) == 431
        assert status("Authorization", 8_000) == 401
        assert status("Authorization", 8_300) == 431
        assert status("Host", 300) == 421


def test_http_2_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    for number, (environment, answered) in enumerate([({}, False), (HTTP2, True)]):
        with (
            serving(tmp_path / str(number), environment) as server,
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as one,
        ):
            one.sendall(silent.PREFACE + silent.SETTINGS)
            assert (one.recv(9)[3:4] == b"\4") is answered  # a SETTINGS frame of the server


@pytest.mark.torture
@pytest.mark.parametrize("kind", [*silent.FIRST_BYTES, "a TLS handshake and no more"])
@pytest.mark.parametrize("mode", ["HTTP/1.1", "HTTP/2", "512 connections"])
def test_others_are_served_beside_silent_connections(tmp_path: Path, kind: str, mode: str) -> None:
    silent.open_more_files()
    tls = "TLS" in kind
    handshake = kind not in silent.FIRST_BYTES
    environment = {"HTTP/2": HTTP2, "512 connections": {"MOORAGE_CONNECTIONS": "512"}}.get(mode, {})
    with serving(tmp_path, environment, tls=tls) as server:
        start = time.monotonic()
        with silent.connected(server.port, 1_100, silent.FIRST_BYTES.get(kind, b""), tls=handshake) as opened:
            waited = [silent.seconds_until_served(server.port, tls=tls)]
            while any(map(silent.is_open, opened)) and time.monotonic() < start + 60:
                time.sleep(1)
                waited.append(silent.seconds_until_served(server.port, tls=tls))
            gone = time.monotonic() - start
        say(f"{mode}, {kind}: served after {waited[0]:.2f} s, {max(waited):.2f} s at most; all dropped in {gone:.0f} s")
        assert max(waited) < 12
        assert gone < 60


@pytest.mark.torture
def test_an_http_2_header_bomb_takes_no_memory(tmp_path: Path) -> None:
    bomb = silent.header_bomb()
    with serving(tmp_path, HTTP2) as server:
        before = resident_mib(server.pid)
        for _ in range(3):
            with (
                socket.create_connection(("127.0.0.1", server.port), timeout=20) as one,
                contextlib.suppress(OSError),
            ):
                one.sendall(bomb)
                one.recv(4096)
        time.sleep(1)
        after = resident_mib(server.pid, peak=True)
        waited = silent.seconds_until_served(server.port)
        say(f"3 x {len(bomb) / 1024:.0f} KiB: {before:.0f} MiB, then {after:.0f} MiB at most; served in {waited:.2f} s")
        assert after < before + 50
