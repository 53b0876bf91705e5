"""What answers: Moorage, another registry, another program; its clock; the disk of a server that is here."""

import shutil
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.doctor.conftest import Make, look, of, only
from tests.login.conftest import FakeServer


def test_moorage(target: Make, fake: FakeServer) -> None:
    fake.body = b'{"status": "ready"}'
    assert only("answer", of(fake, target)) == ("ok", "it is Moorage", ())


def test_another_registry(target: Make, fake: FakeServer) -> None:
    fake.status, fake.headers["Server"] = 401, "nginx\x1b[31m"
    found = only("answer", of(fake, target))
    assert found.state == "warn"
    assert "not Moorage (Server: nginx?[31m)" in found.text


def test_another_program_of_this_machine(target: Make, fake: FakeServer) -> None:
    fake.status, fake.body, fake.headers["Server"] = 403, b"<html>", "AirTunes/1"
    found = only("answer", of(fake, target))
    assert found.state == "fail"
    assert "not a registry: /v2/ returned 403 (Server: AirTunes/1)" in found.text
    assert found.fix[0] == f"moorage dev --port {fake.port + 1}" or f":{fake.port}" in found.fix[0]


def test_another_program_elsewhere(target: Make, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.status = 404
    examined = of(fake, target)
    monkeypatch.setattr(type(examined), "is_local", False)
    assert only("answer", examined).fix == (f"curl -i {fake.url}/v2/",)


def test_a_host_name_that_the_server_does_not_take(target: Make, fake: FakeServer) -> None:
    fake.status = 421
    found = only("answer", of(fake, target))
    assert (found.state, found.fix) == ("fail", ("export MOORAGE_HOSTS=127.0.0.1",))


def test_nobody(target: Make) -> None:
    examined = target("http://127.0.0.1:1")
    assert only("answer", examined).state == "skip"
    assert only("clock", examined).state == "skip"


@pytest.mark.parametrize(
    ("off", "state", "said"),
    [
        (0, "ok", "agree"),
        (-100, "warn", "1 min 4"),
        (100, "warn", "behind"),
        (430, "fail", "7 min"),
        (-430, "fail", "ahead of"),
        (-3 * 86400, "fail", "3 days ahead"),
        (5 * 3600, "fail", "5 hours behind"),
    ],
)
def test_clocks(target: Make, fake: FakeServer, off: float, state: str, said: str) -> None:
    """`off`: seconds that the server is ahead."""
    fake.headers["Date"] = formatdate(time.time() + off, usegmt=True)
    found = only("clock", of(fake, target))
    assert found.state == state
    if abs(off) != 100:
        assert said in found.text
    if state != "ok":
        assert found.fix[0].startswith(("sudo timedatectl", "sudo date -u -s"))


def test_a_server_without_a_clock(target: Make, fake: FakeServer) -> None:
    fake.headers["Date"] = "yesterday"
    assert only("clock", of(fake, target)).state == "skip"


@pytest.mark.parametrize(("free", "state"), [(50 << 30, "ok"), (1 << 29, "warn"), (1 << 20, "fail")])
def test_disk(
    target: Make, fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100 << 30, 0, free))
    found = only("disk", of(fake, target, data=tmp_path))
    assert found.state == state
    if state != "ok":
        assert found.fix == (f"du -xh --max-depth=2 {tmp_path} | sort -h | tail",)
    assert look("disk", of(fake, target)) == []  # no server's data is here


def test_secrets_that_others_can_read(target: Make, fake: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "sealing.key").write_text("k")
    (tmp_path / "sealing.key").chmod(0o644)
    found = look("disk", of(fake, target, data=tmp_path))[-1]
    assert (found.state, found.fix) == ("fail", (f"chmod 600 {tmp_path}/sealing.key",))
