"""The file that says which server stands behind a host, and what the environment says where it is silent."""

import json
import stat
from pathlib import Path

import pytest

from moorage.login.errors import HostsBrokenError
from moorage.login.hosts import Server, host_of, hosts_file, read_hosts, server_of, write_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("localhost:4580", "localhost:4580"),
        ("https://Registry.Example.com/v2/", "registry.example.com"),
        ("https://index.docker.io/v1/", "index.docker.io"),
        (" http://[::1]:4580\n", "[::1]:4580"),
        ("https://user@host:1/x", "host:1"),
        ("", ""),
    ],
)
def test_the_host_of_a_url(text: str, host: str) -> None:
    assert host_of(text) == host


def test_what_is_written_is_read(home: dict[str, str]) -> None:
    one = Server("http://localhost:4580", "us-east-1", {"open": "test"})
    two = Server("https://r.example.com", "eu-west-1", {"profile": "team"}, "/ca.crt")
    write_host(home, "localhost:4580", one)
    file = write_host(home, "r.example.com", two)
    assert read_hosts(home) == {"localhost:4580": one, "r.example.com": two}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file == Path(home["HOME"]) / ".config" / "moorage" / "hosts.json"


@pytest.mark.parametrize("text", ["{", '{"hosts": {"a": {}}}', '{"hosts": []}', "[]"])
def test_a_broken_file_is_named(home: dict[str, str], text: str) -> None:
    file = hosts_file(home)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(HostsBrokenError, match=str(file)):
        read_hosts(home)


def test_the_environment_stands_in(home: dict[str, str]) -> None:
    environment = home | {"AWS_ENDPOINT_URL": "http://127.0.0.1:4580", "AWS_REGION": "eu-west-1"}
    name = "123456789012.dkr.ecr.ap-south-1.amazonaws.com"
    assert server_of(environment, "127.0.0.1:4580") == Server("http://127.0.0.1:4580", "eu-west-1", {})
    assert server_of(environment, name) == Server("http://127.0.0.1:4580", "ap-south-1", {})
    assert server_of(environment, "index.docker.io") is None
    assert server_of(home, name) is None
    listed = Server("https://other", "us-east-1", {"open": "test"})
    write_host(home, name, listed)
    assert server_of(environment, name) == listed


def test_no_secret_is_written(home: dict[str, str]) -> None:
    file = write_host(home, "h", Server("http://h", "us-east-1", {"profile": "team"}))
    assert set(json.loads(file.read_text())["hosts"]["h"]) == {"endpoint", "region", "key"}
