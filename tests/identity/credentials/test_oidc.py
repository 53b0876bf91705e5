"""OIDC tokens: real signatures, and every way in which a token is not good."""

import base64
import functools
import hmac
import http.client
import http.server
import io
import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity.credentials import oidc
from moorage.identity.credentials.oidc import RETRY_SECONDS, Issuer, Issuers, read_issuers
from moorage.settings import SettingError
from tests.identity.credentials.oidc_tokens import AUDIENCE, ISSUER, Signer, issuers_file, jwks

RSA = Signer("one")
EC = Signer("two", "ES256")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuers(tmp_path: Path, clock: Clock) -> Issuers:
    return Issuers(read_issuers(issuers_file(tmp_path, RSA, EC)), clock)


async def refused(issuers: Issuers, token: str) -> tuple[str, str]:
    with pytest.raises(QueryError) as caught:
        await issuers.verify(token)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("signer", [RSA, EC], ids=["RS256", "ES256"])
async def test_a_good_token_says_who_holds_it(issuers: Issuers, clock: Clock, signer: Signer) -> None:
    identity = await issuers.verify(signer.token(clock.now(), repository="team/app", run_attempt=2, fork=False))
    assert (identity.subject, identity.audience) == ("repo:team/app:ref:refs/heads/main", AUDIENCE)
    conditions = identity.keys
    assert conditions["token.example.com:repository"] == "team/app"
    assert conditions["token.example.com:run_attempt"] == "2"
    assert conditions["token.example.com:fork"] == "false"
    assert conditions["token.example.com:aud"] == AUDIENCE


async def test_nested_claims_of_kubernetes_become_condition_keys(issuers: Issuers, clock: Clock) -> None:
    claims: dict[str, Any] = {"kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "builder"}}}
    conditions = (await issuers.verify(RSA.token(clock.now(), **claims))).keys
    assert conditions["token.example.com:kubernetes.io/namespace"] == "ci"
    assert conditions["token.example.com:kubernetes.io/serviceaccount/name"] == "builder"


async def test_the_audience_may_be_one_of_several(issuers: Issuers, clock: Clock) -> None:
    identity = await issuers.verify(RSA.token(clock.now(), aud=["elsewhere", AUDIENCE]))
    assert identity.audience == AUDIENCE


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example.com"},
        {"iss": None},
        {"aud": "elsewhere"},
        {"aud": None},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"iat": 99_999_999_999},
        {"nbf": 99_999_999_999},
    ],
    ids=str,
)
async def test_a_token_that_says_something_wrong_is_refused(
    issuers: Issuers, clock: Clock, claims: dict[str, Any]
) -> None:
    code, _ = await refused(issuers, RSA.token(clock.now(), **claims))
    assert code == "InvalidIdentityToken"


async def test_an_expired_token_is_refused_by_our_clock(issuers: Issuers, clock: Clock) -> None:
    token = RSA.token(clock.now())
    await issuers.verify(token)
    clock.offset += 301
    code, message = await refused(issuers, token)
    assert code == "ExpiredTokenException"
    assert message.startswith("Token expired: current date/time ")


async def test_a_token_of_another_key_under_a_known_id_is_refused(issuers: Issuers, clock: Clock) -> None:
    assert (await refused(issuers, Signer("one").token(clock.now())))[0] == "InvalidIdentityToken"


async def test_a_public_key_is_never_a_shared_secret(issuers: Issuers, clock: Clock) -> None:
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "iat": int(clock.now()), "exp": int(clock.now()) + 60}
    public = RSA.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for algorithm in ("HS256", "none"):
        text = f"{encoded({'alg': algorithm, 'kid': 'one', 'typ': 'JWT'})}.{encoded(said)}"
        signature = hmac.digest(public, text.encode(), "sha256") if algorithm == "HS256" else b""
        token = f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        assert (await refused(issuers, token))[0] == "InvalidIdentityToken"


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é" * 9, base64.b64encode(b"{}").decode() + ".e30."])
async def test_what_is_no_token_is_refused(issuers: Issuers, token: str) -> None:
    assert (await refused(issuers, token))[0] == "InvalidIdentityToken"


async def test_a_signature_cut_short_is_refused(issuers: Issuers, clock: Clock) -> None:
    assert (await refused(issuers, RSA.token(clock.now())[:-8]))[0] == "InvalidIdentityToken"


async def test_keys_are_read_again_when_their_file_changed(tmp_path: Path, clock: Clock) -> None:
    issuers = Issuers(read_issuers(issuers_file(tmp_path, RSA)), clock)
    await issuers.verify(RSA.token(clock.now()))
    assert (await refused(issuers, EC.token(clock.now())))[0] == "InvalidIdentityToken"
    (tmp_path / "jwks.json").write_text(jwks(EC))
    os.utime(tmp_path / "jwks.json", (1, 1))
    await issuers.verify(EC.token(clock.now()))
    assert (await refused(issuers, RSA.token(clock.now())))[0] == "InvalidIdentityToken"


async def test_keys_that_are_not_there_are_told_apart_from_a_bad_token(tmp_path: Path, clock: Clock) -> None:
    issuers = Issuers(read_issuers(issuers_file(tmp_path, RSA)), clock)
    (tmp_path / "jwks.json").unlink()
    assert (await refused(issuers, RSA.token(clock.now())))[0] == "IDPCommunicationError"
    (tmp_path / "jwks.json").write_text("{}")
    assert (await refused(issuers, RSA.token(clock.now())))[0] == "IDPCommunicationError"


class Web:
    """The issuer's own web server: discovery and keys, and how often they were asked for."""

    def __init__(self) -> None:
        self.keys = jwks(RSA)
        self.asked: list[str] = []
        self.issuer: str | None = None
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                url = f"http://127.0.0.1:{web.port}"
                body = (
                    web.keys
                    if self.path == "/keys"
                    else json.dumps({"issuer": web.issuer or url, "jwks_uri": f"{url}/keys"})
                )
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                return

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web() -> Iterator[Web]:
    running = Web()
    yield running
    running.server.shutdown()
    running.server.server_close()


async def test_keys_are_found_at_the_issuer_kept_and_fetched_again_for_a_new_key_id(web: Web, clock: Clock) -> None:
    issuer = f"http://127.0.0.1:{web.port}"
    issuers = Issuers([Issuer(issuer, (AUDIENCE,))], clock)
    for _ in range(3):
        await issuers.verify(RSA.token(clock.now(), iss=issuer))
    assert web.asked == ["/.well-known/openid-configuration", "/keys"]
    web.keys = jwks(RSA, EC)
    assert (await refused(issuers, EC.token(clock.now(), iss=issuer)))[0] == "InvalidIdentityToken"
    assert len(web.asked) == 2, "not so soon after the last time"
    clock.offset += RETRY_SECONDS
    await issuers.verify(EC.token(clock.now(), iss=issuer))
    assert len(web.asked) == 4


async def test_what_is_found_at_the_issuer_must_be_the_issuers_own(web: Web, clock: Clock) -> None:
    issuer = f"http://127.0.0.1:{web.port}"
    web.issuer = f"{issuer}/"
    code, message = await refused(Issuers([Issuer(issuer, (AUDIENCE,))], clock), RSA.token(clock.now(), iss=issuer))
    assert code == "IDPCommunicationError"
    assert "belongs to another issuer" in message


@pytest.mark.parametrize(
    ("url", "location", "allowed"),
    [
        ("https://a.example/keys", "https://b.example/keys", True),
        ("http://a.example/keys", "http://b.example/keys", True),
        ("http://a.example/keys", "https://b.example/keys", True),
        ("https://a.example/keys", "http://a.example/keys", False),
        ("https://a.example/keys", "ftp://a.example/keys", False),
        ("http://a.example/keys", "file:///etc/passwd", False),
    ],
)
def test_keys_are_not_read_without_tls_after_a_redirect(url: str, location: str, allowed: bool) -> None:
    headers = http.client.HTTPMessage()
    request = urllib.request.Request(url)
    redirect = functools.partial(oidc.RedirectHandler().redirect_request, request, io.BytesIO(), 302, "", headers)
    if allowed:
        followed = redirect(location)
        assert followed is not None
        assert followed.full_url == location
    else:
        with pytest.raises(ValueError, match="not protected by TLS"):
            redirect(location)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '[{"issuer": "https://x"}]',
        '[{"issuer": "https://x", "audiences": []}]',
        '[{"issuer": "x", "audiences": ["a"]}]',
        '[{"issuer": "https://x", "audiences": ["a"], "jwk": "typo"}]',
    ],
)
def test_a_file_of_issuers_that_says_something_wrong_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "issuers.json"
    path.write_text(text)
    with pytest.raises(SettingError, match="oidc_issuers"):
        read_issuers(path)
