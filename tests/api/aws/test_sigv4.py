"""Signatures are verified as botocore makes them, and nothing else passes."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.api.asgi import Scope, headers_of
from moorage.api.aws.sigv4 import MISMATCH, Verifier, scope_service
from moorage.clock import Clock
from moorage.errors import (
    ExpiredToken,
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    MoorageError,
    UnrecognizedClient,
)

KEY = "AKIAAAAAAAAAAAAAAAAA"
SESSION = "ASIAAAAAAAAAAAAAAAAA"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "session/token+with=odd signs"
NOW = 1_780_000_000.0


class FixedClock(Clock):
    def now(self) -> float:
        return NOW + self.offset


class FakeKeys:
    """Two known keys, one of them a session, and the open key `test`."""

    def __init__(self) -> None:
        self.uses: list[tuple[str, str]] = []

    async def credential(self, key_id: str) -> Any:
        import hashlib

        if key_id == KEY:
            return SimpleNamespace(secret=SECRET.encode(), session_token_hash=None, expires_at=None, key_id=KEY)
        if key_id == SESSION:
            token_hash = hashlib.sha256(TOKEN.encode()).hexdigest()
            return SimpleNamespace(
                secret=SECRET.encode(), session_token_hash=token_hash, expires_at=NOW + 100, key_id=SESSION
            )
        raise UnrecognizedClient

    def used(self, _caller: Any, service: str, region: str) -> None:
        self.uses.append((service, region))

    async def caller_of(self, credential: Any) -> Any:
        return SimpleNamespace(name=credential.key_id)

    async def open_caller(self, key_id: str) -> Any:
        return SimpleNamespace(name="open") if key_id == "test" else None


def verifier(offset: float = 0.0) -> Verifier:
    return Verifier(cast("Any", FakeKeys()), FixedClock(offset), 300.0)


def signed(
    url: str = "https://localhost:4580/",
    *,
    method: str = "POST",
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"{}",
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    service: str = "ecr",
    presign: bool = False,
) -> tuple[Scope, bytes]:
    """The ASGI scope and body of a request that botocore signed at NOW."""
    request = AWSRequest(method=method, url=url, params=dict(params or {}), headers=dict(headers or {}), data=body)
    credentials = Credentials(key, secret, token)
    at = datetime.fromtimestamp(NOW, UTC)
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=at.replace(tzinfo=None)),
        mock.patch("botocore.compat.get_current_datetime", return_value=at.replace(tzinfo=None)),
    ):
        if presign:
            SigV4QueryAuth(credentials, service, "us-east-1", expires=60).add_auth(request)
        else:
            SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    sent = [(name.lower().encode(), _bytes(value)) for name, value in prepared.headers.items()]
    sent.append((b"host", parts.netloc.encode()))
    scope = {
        "type": "http",
        "method": method,
        "scheme": parts.scheme,
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": sent,
    }
    return scope, body


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


async def check(scope: Scope, body: bytes, *, offset: float = 0.0, service: str = "ecr") -> Any:
    each = verifier(offset)
    headers = headers_of(scope)
    claim = await each.begin(scope, headers, service, host=headers.get(b"host", b"").decode())
    return await each.finish(claim, body)


async def refusal(scope: Scope, body: bytes, *, offset: float = 0.0, service: str = "ecr") -> MoorageError:
    with pytest.raises(MoorageError) as caught:
        await check(scope, body, offset=offset, service=service)
    return caught.value


def without(scope: Scope, name: bytes) -> Scope:
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != name]}


def replaced(scope: Scope, name: bytes, value: bytes) -> Scope:
    return {**scope, "headers": [*without(scope, name)["headers"], (name, value)]}


async def test_a_request_signed_by_botocore_passes() -> None:
    caller = await check(*signed())
    assert caller.name == KEY


_text = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(
    segments=st.lists(
        st.sampled_from(["a", "%20", "b%2Fc", "..", ".", "", "~x", "%C3%A9", "a+b", "=", "*"]), max_size=5
    ),
    params=st.dictionaries(_text.filter(bool), _text, max_size=4),
    values=st.dictionaries(
        st.sampled_from(["X-Amz-Meta", "Content-Type", "X-Other"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip),
        max_size=3,
    ),
    body=st.binary(max_size=50),
)
@settings(max_examples=150, deadline=None)
async def test_any_path_query_headers_and_body_pass(
    segments: list[str], params: dict[str, str], values: dict[str, str], body: bytes
) -> None:
    url = "https://localhost:4580/" + "/".join(segments)
    scope, sent = signed(url, params=params, headers=values, body=body)
    await check(scope, sent)


@given(params=st.dictionaries(_text.filter(bool), _text, max_size=3))
@settings(max_examples=50, deadline=None)
async def test_presigned_requests_pass(params: dict[str, str]) -> None:
    scope, body = signed(method="GET", params=params, body=b"", presign=True)
    await check(scope, body)


@pytest.mark.parametrize("change", ["body", "target", "query", "method", "path", "host", "signature"])
async def test_whatever_is_changed_after_signing_is_noticed(change: str) -> None:
    scope, body = signed(params={"a": "b"}, headers={"X-Amz-Target": "T.Op"})
    match change:
        case "body":
            body = b"{ }"
        case "target":
            scope = replaced(scope, b"x-amz-target", b"T.Other")
        case "query":
            scope = {**scope, "query_string": b"a=c"}
        case "method":
            scope = {**scope, "method": "PUT"}
        case "path":
            scope = {**scope, "raw_path": b"/other"}
        case "host":
            scope = replaced(scope, b"host", b"localhost:1")
        case _:
            text = headers_of(scope)[b"authorization"]
            flipped = b"0" if text[-1:] != b"0" else b"1"
            scope = replaced(scope, b"authorization", text[:-1] + flipped)
    error = await refusal(scope, body)
    assert isinstance(error, InvalidSignature)
    assert error.message == MISMATCH


async def test_a_wrong_secret_is_refused() -> None:
    assert isinstance(await refusal(*signed(secret="other")), InvalidSignature)


async def test_an_unknown_key_is_refused_before_the_body() -> None:
    scope, _ = signed(key="AKIAUNKNOWN")
    with pytest.raises(UnrecognizedClient):
        await verifier().begin(scope, headers_of(scope), "ecr", host="localhost:4580")


async def test_no_signature_at_all() -> None:
    scope, body = signed()
    error = await refusal(without(scope, b"authorization"), body)
    assert isinstance(error, MissingAuthenticationToken)
    assert error.message == "Missing Authentication Token"


async def test_incomplete_signature_names_what_is_missing() -> None:
    scope, body = signed()
    scope = without(replaced(scope, b"authorization", b"AWS4-HMAC-SHA256 Credential=a"), b"x-amz-date")
    error = await refusal(scope, body)
    assert isinstance(error, IncompleteSignature)
    assert error.message == (
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        "Authorization=AWS4-HMAC-SHA256 Credential=a"
    )


async def test_an_old_signature_is_expired() -> None:
    error = await refusal(*signed(), offset=301.0)
    at, floor, now = (
        datetime.fromtimestamp(each, UTC).strftime("%Y%m%dT%H%M%SZ") for each in (NOW, NOW + 1, NOW + 301)
    )
    assert error.message == f"Signature expired: {at} is now earlier than {floor} ({now} - 5 min.)"


async def test_a_signature_from_the_future_is_not_yet_current() -> None:
    error = await refusal(*signed(), offset=-301.0)
    at, ceiling, now = (
        datetime.fromtimestamp(each, UTC).strftime("%Y%m%dT%H%M%SZ") for each in (NOW, NOW - 1, NOW - 301)
    )
    assert error.message == f"Signature not yet current: {at} is still later than {ceiling} ({now} + 5 min.)"


async def test_within_the_skew_passes() -> None:
    await check(*signed(), offset=300.0)
    await check(*signed(), offset=-300.0)


async def test_a_presigned_request_lives_as_long_as_it_says() -> None:
    scope, body = signed(method="GET", body=b"", presign=True)
    await check(scope, body, offset=59.0)
    assert isinstance(await refusal(scope, body, offset=61.0), InvalidSignature)


async def test_another_service_is_refused() -> None:
    error = await refusal(*signed(service="s3"))
    assert error.message == "Credential should be scoped to correct service: 'ecr'. "


async def test_a_session_needs_its_token() -> None:
    assert (await check(*signed(key=SESSION, token=TOKEN))).name == SESSION
    assert isinstance(await refusal(*signed(key=SESSION, token="forged")), UnrecognizedClient)
    assert isinstance(await refusal(*signed(key=SESSION)), UnrecognizedClient)
    assert isinstance(await refusal(*signed(key=KEY, token=TOKEN)), UnrecognizedClient)
    presigned = signed(method="GET", body=b"", key=SESSION, token=TOKEN, presign=True)
    assert (await check(*presigned)).name == SESSION


async def test_an_ended_session_is_expired() -> None:
    assert isinstance(await refusal(*signed(key=SESSION, token=TOKEN), offset=101.0), ExpiredToken)


@pytest.mark.parametrize("name", [b"x-amz-target", b"x-amz-content-sha256", b"x-amz-security-token"])
async def test_headers_that_count_must_be_signed(name: bytes) -> None:
    scope, body = signed()
    error = await refusal(replaced(scope, name, b"x"), body)
    assert isinstance(error, InvalidSignature | UnrecognizedClient)


async def test_a_signature_over_other_headers_than_host_is_refused() -> None:
    scope, body = signed()
    text = headers_of(scope)[b"authorization"].replace(b"SignedHeaders=host;", b"SignedHeaders=")
    assert isinstance(await refusal(replaced(scope, b"authorization", text), body), InvalidSignature)


async def test_the_announced_hash_must_be_the_bodys() -> None:
    wrong = "0" * 64
    scope, body = signed(headers={"X-Amz-Content-SHA256": wrong})
    assert isinstance(await refusal(scope, body), InvalidSignature)


async def test_an_unsigned_payload_is_taken_over_tls_only() -> None:
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    await check(*signed(headers=headers))
    plain = signed("http://localhost:4580/", headers=headers)
    assert isinstance(await refusal(*plain), InvalidSignature)


async def test_a_scope_of_another_day_is_refused() -> None:
    scope, body = signed()
    text = headers_of(scope)[b"authorization"]
    day = datetime.fromtimestamp(NOW, UTC).strftime("%Y%m%d").encode()
    error = await refusal(replaced(scope, b"authorization", text.replace(day, b"20200101")), body)
    assert error.message.startswith("Date in Credential scope does not match")


@pytest.mark.parametrize(
    "text",
    [
        b"AWS4-ECDSA-P256-SHA256 Credential=a, SignedHeaders=host, Signature=b",
        b"Basic dGVzdDp0ZXN0",
        b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=b",
        b"AWS4-HMAC-SHA256",
        b"\xff\xfe",
        b"",
    ],
)
async def test_other_authorizations_are_incomplete(text: bytes) -> None:
    scope, body = signed()
    assert isinstance(await refusal(replaced(scope, b"authorization", text), body), IncompleteSignature)


@given(st.binary(max_size=80), st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
async def test_noise_is_refused_and_never_breaks(noise: bytes, query: bytes) -> None:
    scope, body = signed()
    scope = {**replaced(scope, b"authorization", b"AWS4-HMAC-SHA256 " + noise), "query_string": query}
    await refusal(scope, body)
    await refusal(
        {**without(scope, b"authorization"), "query_string": b"X-Amz-Algorithm=AWS4-HMAC-SHA256&" + query}, b""
    )


async def test_open_keys_are_not_verified() -> None:
    scope, _ = signed(key="test", secret="whatever")
    assert (await check(scope, b"other body", offset=1e6)).name == "open"


def test_the_service_of_a_scope() -> None:
    scope, _ = signed(service="iam")
    assert scope_service(headers_of(scope), b"") == "iam"
    scope, _ = signed(method="GET", body=b"", service="sts", presign=True)
    assert scope_service(headers_of(scope), scope["query_string"]) == "sts"
    assert scope_service({}, b"") is None


@pytest.mark.parametrize("between", [" ", " X", "X", "; ", ", X", ",X "])
async def test_the_signature_stands_behind_a_comma_by_its_own_name(between: str) -> None:
    scope, body = signed()
    text = headers_of(scope)[b"authorization"].decode()
    wrong = text.replace(", Signature=", f"{between}Signature=")
    assert wrong != text
    assert isinstance(await refusal(replaced(scope, b"authorization", wrong.encode()), body), IncompleteSignature)


_PIECES = [
    "Credential=AK/20260101/us-east-1/ecr/aws4_request",
    "SignedHeaders=h",
    f"Signature={'0' * 64}",
    "Signature=",
]


@given(st.lists(st.sampled_from([*_PIECES, "x", ",", ", ", " ", "="])))
def test_an_authorization_is_read_alike_whatever_is_remembered(pieces: list[str]) -> None:
    headers = {b"authorization": f"AWS4-HMAC-SHA256 {''.join(pieces)}".encode(), b"x-amz-date": b"20260101T000000Z"}

    def read(each: Verifier) -> object:
        try:
            return each._read(headers, b"")._replace(new="")
        except MoorageError as error:
            return type(error), error.message

    fresh, used = verifier(), verifier()
    with contextlib.suppress(MoorageError):
        used._remember(used._read(headers, b""))
    assert read(used) == read(fresh)


async def test_only_verified_signatures_are_remembered() -> None:
    each = verifier()
    scope, body = signed()
    headers = headers_of(scope)
    for sent in (b"other", body):
        claim = await each.begin(scope, headers, "ecr", host="localhost:4580")
        assert (len(each._signers), len(each._derived)) == (0, 0)
        with contextlib.suppress(InvalidSignature):
            await each.finish(claim, sent)
    assert (len(each._signers), len(each._derived)) == (1, 1)
    assert (await each.begin(scope, headers, "ecr", host="localhost:4580")).signed == claim.signed._replace(new="")
