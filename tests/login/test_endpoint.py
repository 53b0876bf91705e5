"""What a server's answers become: a password with its true end, or a sentence a person can use."""

import base64
import json
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from moorage.login.endpoint import Endpoint
from moorage.login.errors import EndpointError
from moorage.login.keys import Key
from tests.login.conftest import FakeServer
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess, free_port

KEY = Key("test", "test")


def answer(fake: FakeServer, seconds: float) -> None:
    token = base64.b64encode(b"AWS:pass:word").decode()
    expires = time.time() + seconds
    fake.body = json.dumps({"authorizationData": [{"authorizationToken": token, "expiresAt": expires}]}).encode()


def test_the_end_is_told_by_this_machines_clock(fake: FakeServer) -> None:
    answer(fake, 3600 + 1000)
    fake.headers["Date"] = formatdate(time.time() + 1000, usegmt=True)  # the server is ahead
    password = Endpoint(fake.url, "us-east-1").authorization(KEY)
    assert (password.user, password.secret) == ("AWS", "pass:word")
    assert abs(password.expires_at - time.time() - 3600) < 60
    assert "pass" not in repr(password)
    assert fake.asked[0][2]["X-Amz-Target"].endswith(".GetAuthorizationToken")


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (400, b'{"__type": "x#UnrecognizedClientException", "message": "no"}', "UnrecognizedClientException", "no"),
        (403, b"<E><Error><Code>Expired</Code><Message>late</Message></Error></E>", "Expired", "Expired: late"),
        (404, b"<html>nginx</html>", "answer", "answered 404, and not as ECR does"),
        (200, b"<html>", "answer", "not as ECR does"),
        (200, b'{"authorizationData": []}', "answer", "not as ECR does"),
        (500, b"[]", "answer", "answered 500"),
    ],
)
def test_refusals(fake: FakeServer, status: int, body: bytes, code: str, said: str) -> None:
    fake.status, fake.body = status, body
    with pytest.raises(EndpointError, match=said) as refused:
        Endpoint(fake.url, "us-east-1").authorization(KEY)
    assert refused.value.code == code


def test_nobody_there() -> None:
    with pytest.raises(EndpointError, match="no answer") as refused:
        Endpoint(f"http://127.0.0.1:{free_port()}", "us-east-1").authorization(KEY)
    assert refused.value.code == "unreachable"


def test_tls(tmp_path: Path, fake: FakeServer) -> None:
    with pytest.raises(EndpointError) as refused:
        Endpoint(fake.url.replace("http", "https"), "us-east-1").identity(KEY)
    assert refused.value.code == "plain"
    run_moorage("ca", "--out", str(tmp_path / "tls"), "127.0.0.1")
    tls = ("--tls-cert", str(tmp_path / "tls" / "server.crt"), "--tls-key", str(tmp_path / "tls" / "server.key"))
    server = ServerProcess(tmp_path / "data", *tls).start()
    try:
        with pytest.raises(EndpointError) as refused:
            Endpoint(server.url, "us-east-1").identity(KEY)
        assert refused.value.code == "tls"
        trusting = Endpoint(server.url, "us-east-1", str(tmp_path / "tls" / "ca.crt"))
        assert trusting.identity(KEY) == "arn:aws:iam::000000000000:root"
        assert trusting.authorization(KEY).user == "AWS"
    finally:
        server.stop()
    with pytest.raises(EndpointError, match="no file") as refused:
        Endpoint(server.url, "us-east-1", str(tmp_path / "none")).identity(KEY)
    assert refused.value.code == "ca"
