"""Names that do not resolve, ports that nobody holds, proxies that catch too much."""

import socket
from pathlib import Path

import pytest

from moorage.doctor.network import owner_of
from tests.doctor.conftest import Make, of, only
from tests.login.conftest import FakeServer
from tests.support.server_process import free_port


def test_a_name_under_localhost_that_does_not_resolve(target: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    host = "123456789012.dkr.ecr.us-east-1.localhost:4580"
    found = only("name", target(f"http://{host}"))
    assert found.state == "fail"
    assert found.fix == ("echo '127.0.0.1 123456789012.dkr.ecr.us-east-1.localhost' | sudo tee -a /etc/hosts",)
    assert "localhost:4580/123456789012/us-east-1/" in found.text


def test_a_name_that_nobody_knows(target: Make) -> None:
    examined = target("https://registry.invalid:4580")
    found = only("name", examined)
    assert found.state == "fail"
    assert found.fix == ("echo 'ADDRESS registry.invalid' | sudo tee -a /etc/hosts",)
    assert only("port", examined).state == "skip"


def test_addresses(target: Make, fake: FakeServer) -> None:
    assert only("name", of(fake, target)) == ("ok", "127.0.0.1 is an address", ())
    assert "127.0.0.1" in only("name", target(f"http://localhost:{fake.port}")).text
    assert only("port", of(fake, target)).state == "ok"


def test_nobody_listens_here(target: Make, tmp_path: Path) -> None:
    port = free_port()
    found = only("port", target(f"http://127.0.0.1:{port}", data=Path("moorage-data")))
    assert (found.state, found.fix) == ("fail", (f"moorage dev --port {port}",))
    (tmp_path / "registry.json").write_text("{}")
    found = only("port", target(f"http://127.0.0.1:{port}", data=tmp_path))
    assert found.fix == (f"moorage serve --port {port} --data {tmp_path}",)


def test_a_port_that_was_forgotten(target: Make) -> None:
    found = only("port", target("http://localhost"))
    if found.state == "ok":
        pytest.skip("somebody listens on port 80")
    assert found.fix == ("moorage doctor localhost:4580",)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name of a machine that is this one."""
    real = socket.getaddrinfo

    def resolve(host: object, *rest: object, **more: object) -> object:
        return real("127.0.0.1" if host == "registry.example.com" else host, *rest, **more)  # type: ignore[arg-type]  # handed on

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return "registry.example.com"


def test_nobody_listens_elsewhere(target: Make, elsewhere: str) -> None:
    found = only("port", target(f"https://{elsewhere}:{free_port()}"))
    assert found.state == "fail"
    assert "refuses connections" in found.text
    assert found.fix[0].startswith("moorage serve --host 0.0.0.0")


def test_no_way_to_the_port(target: Make, monkeypatch: pytest.MonkeyPatch, elsewhere: str) -> None:
    def fails(*_: object, **__: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", fails)
    found = only("port", target(f"https://{elsewhere}:4580"))
    assert found.state == "fail"
    assert "firewall" in found.text
    assert "4580/tcp" in found.fix[0]


@pytest.mark.parametrize(
    ("variables", "state"),
    [
        ({}, "ok"),
        ({"http_proxy": "http://proxy:3128"}, "fail"),
        ({"ALL_PROXY": "http://proxy:3128"}, "fail"),
        ({"https_proxy": "http://proxy:3128"}, "ok"),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "example.com, localhost"}, "ok"),
        ({"http_proxy": "http://proxy:3128", "NO_PROXY": "*"}, "ok"),
        ({"http_proxy": "http://proxy:3128", "NO_PROXY": "127.0.0.0/8"}, "fail"),
    ],
)
def test_a_proxy_that_catches_this_machine(target: Make, variables: dict[str, str], state: str) -> None:
    found = only("proxy", target("http://localhost:4580", environment=variables))
    assert found.state == state
    if state == "fail":
        assert found.fix == (
            'export NO_PROXY="localhost${NO_PROXY:+,$NO_PROXY}" no_proxy="localhost${no_proxy:+,$no_proxy}"',
        )


@pytest.mark.parametrize(
    ("host", "excepted", "state"),
    [
        ("registry.example.com", "", "warn"),
        ("registry.example.com", ".example.com", "ok"),
        ("registry.example.com", "ple.com", "warn"),
        ("10.1.2.3", "10.0.0.0/8", "ok"),
        ("10.1.2.3", "11.0.0.0/8", "warn"),
    ],
)
def test_a_proxy_on_the_way_elsewhere(target: Make, host: str, excepted: str, state: str) -> None:
    variables = {"https_proxy": "http://proxy:3128", "no_proxy": excepted}
    assert only("proxy", target(f"https://{host}", environment=variables)).state == state


def test_who_holds_a_port(fake: FakeServer) -> None:
    owner = owner_of(fake.port)
    if owner is not None:  # elsewhere than on Linux nobody can tell
        assert "pid" in owner
    assert owner_of(free_port()) is None
