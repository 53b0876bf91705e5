"""What a command or server cannot use is named in one sentence, never in a traceback."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moorage.cli import main
from tests.support.server_process import MOORAGE, ServerProcess, free_port, run

ON_HOST = ("export", "--on-host")
SERVE = ("serve", "--port", "0")
Sentence = Callable[..., str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("unusable") / "data"
    run([MOORAGE, "init", "--data", str(data)])
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of what `moorage init` makes."""
    subprocess.run(["cp", "-a", made, tmp_path / "data"], check=True)
    return tmp_path / "data"


@pytest.fixture
def sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sentence]:
    """`sentence(…)` is what a command that fails says: one line. Within this process: there are many, and importing
    takes longer than failing."""

    def run_main(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["moorage", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("moorage: ")
        return line.removeprefix("moorage: ")

    for name in (name for name in os.environ if name.startswith(("AWS_", "MOORAGE_"))):
        monkeypatch.delenv(name)
    mask = os.umask(0o077)
    yield run_main
    os.umask(mask)


@pytest.mark.parametrize(
    "command", [SERVE, ON_HOST, ("init", "--account", "444455556666")], ids=["serve", "host", "init"]
)
def test_a_damaged_database(sentence: Sentence, data: Path, command: tuple[str, ...]) -> None:
    (data / "moorage.db").write_bytes(b"not a database, but long enough to be looked at " * 100)
    for rest in ("-wal", "-shm"):
        (data / f"moorage.db{rest}").unlink(missing_ok=True)
    assert f"{data / 'moorage.db'} is damaged" in sentence(*command, "--data", data)


def test_a_database_of_a_newer_version_or_of_another_program(sentence: Sentence, data: Path) -> None:
    with sqlite3.connect(data / "moorage.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (SERVE, ON_HOST):
        assert "was written by a newer version of Moorage" in sentence(*command, "--data", data)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://user:secret@127.0.0.1:{closed}/db", "Connect call failed"),
        ("postgresql://user:secret@nowhere.invalid/db", "cannot be used"),
        ("postgresql://user:secret@127.0.0.1:{foreign}/db", "cannot be used"),
        ("postgresql://user:secret@127.0.0.1:port/db", "cannot be used"),
        ("mysql://user:secret@127.0.0.1/db", "must begin with postgresql://"),
    ],
    ids=["unreachable", "unresolved", "foreign", "port", "mysql"],
)
def test_database_urls_that_lead_nowhere(sentence: Sentence, data: Path, foreign: int, url: str, said: str) -> None:
    url = url.format(closed=free_port(), foreign=foreign)
    for command in (SERVE, ON_HOST):
        found = sentence(*command, "--data", data, "--database-url", url)
        assert said in found
        assert "secret" not in found


@pytest.fixture
def foreign() -> Iterator[int]:
    """A port where something answers that is no PostgreSQL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"account": "1", "region": "us-east-1"}'])
def test_a_broken_registry_json(sentence: Sentence, data: Path, text: str) -> None:
    (data / "registry.json").write_text(text)
    for command in (SERVE, ON_HOST, ("init",), ("env",), ("dev", "--port", "0")):
        assert f"{data / 'registry.json'} is damaged" in sentence(*command, "--data", data)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"mode": "serve", "url": "x", "port": "y", "ca": null}'])
def test_a_broken_server_json(sentence: Sentence, data: Path, text: str) -> None:
    (data / "server.json").write_text(text)
    for command in (("env",), ("audit",), ("login", "localhost:1")):
        assert f"{data / 'server.json'} is damaged" in sentence(*command, "--data", data)


@pytest.mark.parametrize("name", ["credentials", "registry.json", "server.json"])
def test_what_cannot_be_read_is_named(sentence: Sentence, data: Path, name: str) -> None:
    """A directory in the place of the file: the tests may run as root, who can read everything else."""
    (data / name).unlink(missing_ok=True)
    (data / name).mkdir()
    for command in (("audit",), ("env",)):
        assert f"{data / name} cannot be read: Is a directory" in sentence(*command, "--data", data)


def test_the_data_is_a_file(sentence: Sentence, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("")
    for command in (SERVE, ON_HOST, ("dev",), ("init",), ("env",), ("audit",), ("login", "localhost:1")):
        assert f"data: {file} cannot be used: it is a file, not a directory" in sentence(*command, "--data", file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "Expected `array`"),
        ("[{}]", "issuer"),
        ('[{"issuer": "x", "audiences": ["y"]}]', "x"),
    ],
)
def test_a_broken_file_of_oidc_issuers(
    sentence: Sentence, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, said: str
) -> None:
    file = tmp_path / "issuers.json"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("MOORAGE_OIDC_ISSUERS", str(file))
    assert said in sentence(*SERVE, "--data", data)


def test_certificates_and_keys(sentence: Sentence, data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run([MOORAGE, "ca", "--out", str(tmp_path / name), "localhost"])
    one, two = tmp_path / "one", tmp_path / "two"
    (tmp_path / "text").write_text("text")
    (tmp_path / "cut").write_text((one / "server.key").read_text()[:60])
    serve = (*SERVE, "--data", data)
    for certificate, key in (
        (one / "server.crt", two / "server.key"),
        (one / "server.crt", tmp_path / "text"),
        (tmp_path / "text", one / "server.key"),
        (one / "server.crt", tmp_path / "cut"),
        (one / "server.crt", one / "server.crt"),
    ):
        said = sentence(*serve, "--tls-cert", certificate, "--tls-key", key)
        assert f"the certificate {certificate} and the key {key} cannot be used together" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "70000"), "port: 70000 is not a port"),
        (("--host", "registry"), "--host: 'registry' is not an IP address to listen on"),
        (("--uri-style", "x"), "--uri-style: 'x' is not one of"),
        (("--profile", "aws2"), "--profile: 'aws2' is not one of oci, aws"),
    ],
)
def test_bad_options(sentence: Sentence, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    for command in ("serve", "dev"):
        assert said in sentence(command, *arguments, "--data", tmp_path / "data")


def test_localhost_is_an_address(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", "--host", "localhost").start()
    assert server.stop() == 0


def test_a_full_disk_at_the_start(sentence: Sentence, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        for command in (("init",), ("dev", "--port", "0")):
            assert re.search("full|No space left", sentence(*command, "--data", disk / "data"))
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_json_log_is_json(data: Path, tmp_path: Path) -> None:
    log = ("--log-format", "json")
    done = run([MOORAGE, *SERVE, *log, "--data", str(tmp_path / "none")], check=False)
    assert json.loads(done.stderr)["level"] == "error"
    data.chmod(0o755)
    server = ServerProcess(data, "--workers", "2", *log, command="serve").start()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n")
        connection.recv(100)
    server.stop()
    lines = server.log.read_text().splitlines()
    assert {json.loads(line)["level"] for line in lines} == {"info", "warning"}
