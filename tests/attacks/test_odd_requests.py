"""Requests that no client sends: every door answers them, well-formed and below 500, whatever is odd about them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from moorage.api.asgi import Message, Scope
from moorage.settings import Settings
from tests.support.in_process import InProcess, in_process

_FORM = b"application/x-www-form-urlencoded"
_SIGNED = (
    b"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=" + b"0" * 64
)
_CHARACTERS = st.characters() | st.sampled_from("\ud800\udcff\0/.:%")
_PATHS = st.one_of(
    st.sampled_from(
        [
            "/",
            "/v2/",
            "/v2",
            "/v2/_catalog",
            "/v2/token",
            "/v2/app/manifests/v1",
            "/v2/app/blobs/sha256:" + "0" * 64,
            "/v2/app/blobs/uploads/",
            "/v2/app/blobs/uploads/x",
            "/v2/111122223333/eu-west-1/app/tags/list",
            "/v2/app/referrers/sha256:" + "0" * 64,
            "/_moorage/explain",
            "/_moorage/explain/x",
            "/_moorage/access",
            "/_moorage/tokens/revoke",
            "/_moorage/password",
            "/_moorage/ready/",
            "/_moorage/faults",
            "/_moorage/clock",
            "/metrics",
        ]
    ),
    *(
        st.text(_CHARACTERS, max_size=30).map(start.__add__)
        for start in ("/", "/v2/", "/v2/app/manifests/", "/_moorage/")
    ),
)
_LATIN = st.binary(max_size=40).filter(lambda text: b"\r" not in text and b"\n" not in text and b"\0" not in text)
_VALUES: Mapping[bytes, st.SearchStrategy[bytes]] = {
    b"host": st.sampled_from([b"localhost:4580", b"[::1]", b"[", b"", b"localhost:x", b"\xff", b"a" * 300]) | _LATIN,
    b"authorization": st.sampled_from([_SIGNED, b"Basic dGVzdDphbnk=", b"Basic \xff", b"Bearer x", b"AWS4-", b""])
    | _LATIN,
    b"content-length": st.sampled_from([b"0", b"9" * 5000, b"-1", b"1e3", b"\xb2", b"", b"9" * 18]),
    b"content-type": st.sampled_from([_FORM, b"application/json", b"\xff"]),
    b"content-range": st.sampled_from([b"0-0", b"9-1", b"bytes 0-99999999999999999999/*", b"\xff"]) | _LATIN,
    b"range": st.sampled_from([b"bytes=0-", b"bytes=-0", b"bytes=9999999999999999999-", b"\xff"]) | _LATIN,
    b"x-amz-target": st.sampled_from([b"AmazonEC2ContainerRegistry_V20150921.ListImages", b".", b"\xff.\xff"]) | _LATIN,
    b"x-amz-date": st.sampled_from([b"20260101T000000Z", b"99999999T999999Z", b"\xff"]),
    b"x-amz-security-token": _LATIN,
    b"x-forwarded-for": st.sampled_from([b"unknown", b",,", b"\xff"]),
    b"origin": st.sampled_from([b"null", b"http://[", b"\xff"]),
    b"if-none-match": _LATIN,
    b"transfer-encoding": st.sampled_from([b"chunked", b"\xff"]),
}
_HEADERS = st.lists(
    st.sampled_from(sorted(_VALUES)).flatmap(lambda name: st.tuples(st.just(name), _VALUES[name])), max_size=6
)
_QUERIES = st.one_of(
    st.sampled_from(
        [
            b"",
            b"zX-Amz-Algorithm=1",
            b"X-Amz-Algorithm=1",
            b"zX-Amz-Credential=1",
            b"X-Amz-Credential=%ff/////",
            b"Action=GetUser&X-Amz-Signature=",
            b"Action=%EF%BF%BF&Version=%EF%BF%BE",
            b"token=%ff",
            b"digest=sha256:%00",
            b"digest=%ff&mount=%ff&from=//",
            b"n=%C2%B2&last=%00",
            b"n=-1",
            b"n=" + b"9" * 5000,
            b"after=%C2%B2",
            b"artifactType=%ed%a0%80",
            b"%",
            b"&&==&",
        ]
    ),
    _LATIN,
)
_BODIES = st.sampled_from(
    [b"", b"{}", b"[", b'{"name":"\\ud800"}', b"\xff", b"Action=GetUser&UserName=%00", b"0" * 9999]
)


@pytest.fixture(params=["oci", "aws"])
async def door(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[InProcess]:
    given: Any = request.param
    made = Settings(mode="dev", data=tmp_path / "data", profile=given, anonymous_pull=True)
    async with in_process(made) as opened:
        yield opened


async def answered(door: InProcess, method: str, path: str, query: bytes, headers: Any, body: bytes) -> list[Message]:
    """What the application sends for a request with a Host, unless `headers` has another."""
    names = {name for name, _ in headers}
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": b"/",
        "query_string": query,
        "headers": [*([] if b"host" in names else [(b"host", b"localhost:4580")]), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 4580),
    }
    pending = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await door.asgi(scope, receive, send)
    return sent


def check(sent: list[Message], method: str) -> None:
    """One whole answer below 500, of the form that its Content-Type says."""
    start, *rest = sent
    assert start["type"] == "http.response.start"
    assert start["status"] < 500, sent
    given = dict(start["headers"])
    for name, value in start["headers"]:
        assert name == name.lower()
        assert not {b"\r", b"\n", b"\0"} & {value[i : i + 1] for i in range(len(value))}
    assert all(each["type"] == "http.response.body" for each in rest)
    assert not rest[-1].get("more_body")
    body = b"".join(each.get("body", b"") for each in rest)
    if method == "HEAD" or not body:
        return
    if b"content-length" in given:
        assert int(given[b"content-length"]) == len(body)
    kind = given.get(b"content-type", b"")
    if b"json" in kind:
        json.loads(body)
    elif b"xml" in kind:
        ET.fromstring(body)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example("GET", "/", b"zX-Amz-Algorithm=1", [(b"content-type", _FORM)], b"")
@example("POST", "/", b"", [(b"authorization", _SIGNED), (b"x-amz-date", b"20260101T000000Z")], b"Action=%EF%BF%BF")
@example("GET", "/v2/app/manifests/\ud800", b"", [(b"authorization", b"Basic dGVzdDphbnk=")], b"")
@example("POST", "/_moorage/access", b"", [(b"authorization", _SIGNED), (b"content-length", b"9" * 5000)], b"{}")
@example("HEAD", "/", b"", [], b"")
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]),
    _PATHS,
    _QUERIES,
    _HEADERS,
    _BODIES,
)
async def test_every_door_answers_whatever_it_is_sent(
    door: InProcess, method: str, path: str, query: bytes, headers: Any, body: bytes
) -> None:
    async with asyncio.timeout(60):
        check(await answered(door, method, path, query, headers, body), method)
