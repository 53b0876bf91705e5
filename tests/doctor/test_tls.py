"""Certificates: wrong names, wrong dates, unknown authorities; TLS where there is none, and none where there is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from moorage.doctor import tls as tls_checks
from tests.doctor.conftest import Authority, Make, look, of, only
from tests.login.conftest import FakeServer

Tls = Callable[[Path], str]


def test_all_is_well(target: Make, authority: Authority, tls: Tls) -> None:
    url = tls(authority.sign("127.0.0.1"))
    examined = target(url, environment={"AWS_CA_BUNDLE": str(authority.file), "PATH": "/nowhere"})
    checks = ("transport", "certificate name", "certificate dates", "certificate trust", "answer")
    assert {check: only(check, examined).state for check in checks} == dict.fromkeys(checks, "ok") | {"answer": "warn"}


def test_another_name(target: Make, authority: Authority, tls: Tls) -> None:
    found = only("certificate name", target(tls(authority.sign("registry.example.com", "10.0.0.1"))))
    assert found.state == "fail"
    assert "is for registry.example.com, 10.0.0.1, not for 127.0.0.1" in found.text
    assert found.fix == ("moorage ca registry.example.com 10.0.0.1 127.0.0.1   # then restart it",)


def test_a_name_that_would_be_a_command_is_not_printed_as_one(target: Make, authority: Authority, tls: Tls) -> None:
    found = only("certificate name", target(tls(authority.sign("a;reboot", "b"))))
    assert "reboot" not in found.text + "".join(found.fix)


@pytest.mark.parametrize(
    ("begins", "ends", "state", "said"),
    [
        (-9, -2, "fail", "expired on"),
        (2, 9, "fail", "valid from"),
        (-9, 5, "warn", "expires on"),
        (-9, 50, "ok", "valid"),
    ],
)
def test_dates(target: Make, authority: Authority, tls: Tls, begins: int, ends: int, state: str, said: str) -> None:
    examined = target(tls(authority.sign("127.0.0.1", begins=begins, ends=ends)))
    found = only("certificate dates", examined)
    assert found.state == state
    assert said in found.text
    assert found.fix == (() if state == "ok" else ("moorage ca 127.0.0.1   # on the server, then restart it",))
    if ends < 0 or begins > 0:
        assert only("certificate trust", examined).state == "skip"


def test_an_unknown_authority(target: Make, authority: Authority, tls: Tls) -> None:
    examined = target(tls(authority.sign("127.0.0.1")), environment={"AWS_CA_BUNDLE": "/etc/hostname"})
    found = only("certificate trust", examined)
    assert found.state == "fail"
    assert "Tests of the doctor" in found.text
    assert found.fix[0] == f"moorage login --ca ca.crt {examined.host}"
    assert "nothing is sent" in only("answer", examined).text


def test_the_authority_that_moorage_ca_left_here(
    target: Make, authority: Authority, tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moorage-tls").mkdir()
    (tmp_path / "moorage-tls" / "ca.crt").write_bytes(authority.file.read_bytes())
    examined = target(tls(authority.sign("127.0.0.1")), environment={"PATH": "/nowhere"})
    found = only("certificate trust", examined)
    assert (found.state, found.fix) == ("warn", (f"export AWS_CA_BUNDLE={tmp_path}/moorage-tls/ca.crt",))
    assert only("answer", examined).state == "warn"  # it is asked, and is no Moorage


def test_an_authority_that_docker_does_not_know(
    target: Make, authority: Authority, tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_checks, "DOCKER_CERTIFICATES", tmp_path / "certs.d")
    (tmp_path / "docker").write_text("")
    (tmp_path / "docker").chmod(0o755)
    environment = {"PATH": str(tmp_path)}
    examined = target(tls(authority.sign("127.0.0.1")), environment=environment, ca=str(authority.file))
    aws, docker = look("certificate trust", examined)
    assert (aws.state, aws.fix) == ("warn", (f"export AWS_CA_BUNDLE={authority.file}",))
    place = tmp_path / "certs.d" / examined.host / "ca.crt"
    assert (docker.state, docker.fix) == ("fail", (f"sudo install -D -m 644 {authority.file} {place}",))
    place.parent.mkdir(parents=True)
    place.write_bytes(authority.file.read_bytes())
    assert [each.state for each in look("certificate trust", examined)] == ["warn", "ok"]


def test_no_tls_where_it_is_expected(target: Make, fake: FakeServer) -> None:
    examined = target(fake.url.replace("http", "https"))
    found = only("transport", examined)
    assert (found.state, found.fix) == ("fail", (f"moorage doctor http://{examined.host}",))
    assert look("certificate name", examined) == look("certificate dates", examined) == []


def test_tls_where_none_is_expected(target: Make, authority: Authority, tls: Tls) -> None:
    url = tls(authority.sign("127.0.0.1"))
    found = only("transport", target(url.replace("https", "http")))
    assert (found.state, found.fix) == ("fail", (f"moorage doctor {url}",))


def test_plain_http(target: Make, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    examined = of(fake, target)
    assert only("transport", examined).state == "ok"
    monkeypatch.setattr(type(examined), "is_local", False)
    found = only("transport", examined)
    assert found.state == "warn"
    assert found.fix[0].startswith("moorage ca 127.0.0.1")


@pytest.mark.parametrize(
    ("held", "host", "answer"),
    [
        ("*.example.com", "r.example.com", True),
        ("*.example.com", "a.r.example.com", False),
        ("*.example.com", "example.com", False),
        ("R.example.com", "r.Example.com", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("127.0.0.1", "localhost", False),
        ("*.com", "example.com", False),
    ],
)
def test_what_a_name_covers(held: str, host: str, answer: bool) -> None:
    assert tls_checks._covers(held, host) is answer
