"""Requests that two servers in a row could read differently, sent byte by byte: none gets in, none hides another."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.attacks.attacked_server import SECRET, AttackedServer, Signature, basic

HIDDEN = b"DELETE /v2/team/app/manifests/v1 HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n\r\n"
"""What an attack hides behind its first request: with a good password, so that it would do something."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedServer]:
    attacked = AttackedServer(tmp_path_factory.mktemp("smuggled") / "data")
    try:
        attacked.prepare()
        yield attacked
    finally:
        attacked.server.stop()


@pytest.fixture(scope="module")
def authorization(target: AttackedServer) -> bytes:
    return basic("AWS", target.password(target.root)).encode()


def sent(target: AttackedServer, text: bytes) -> list[int]:
    """The status of each answer on a connection on which these bytes were sent."""
    with socket.create_connection(("127.0.0.1", target.server.port), timeout=1) as connection:
        connection.sendall(text)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass  # it stays open for the next request, or was hung up on
    assert SECRET.encode() not in answer
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def closes(target: AttackedServer, text: bytes) -> bool:
    """Whether the server ends the connection after its first answer to these bytes."""
    with socket.create_connection(("127.0.0.1", target.server.port), timeout=10) as connection:
        connection.sendall(text)
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
    return True


def _with(*lines: bytes, line: bytes = b"POST /v2/team/app/blobs/uploads/ HTTP/1.1", host: bool = True) -> Any:
    """A request with these headers. Without `host` its end is clear to everybody, and nothing is hidden behind it."""

    def make(target: AttackedServer, authorization: bytes) -> bytes:
        name = target.host.encode()
        hidden = HIDDEN % (name, authorization) if host else b""
        head = [line, *([b"Host: " + name] if host else []), b"Authorization: " + authorization, *lines]
        text = b"\r\n".join(head)
        replaced = text.replace(b"{host}", name).replace(b"{port}", str(target.server.port).encode())
        length = str(len(hidden)).encode()
        return replaced.replace(b"{length}", length) + b"\r\n\r\n" + b"0\r\n\r\n" + hidden

    return make


REFUSED = {
    "two lengths": _with(b"Content-Length: 0", b"Content-Length: {length}"),
    "two lengths in one": _with(b"Content-Length: 5, {length}"),
    "signed length": _with(b"Content-Length: +5"),
    "negative length": _with(b"Content-Length: -1"),
    "hexadecimal length": _with(b"Content-Length: 0x5"),
    "length with a space": _with(b"Content-Length: 5 5"),
    "length that overflows": _with(b"Content-Length: 18446744073709551621"),
    "empty length": _with(b"Content-Length:"),
    "unknown coding": _with(b"Transfer-Encoding: xchunked"),
    "coding after chunked": _with(b"Transfer-Encoding: chunked, identity"),
    "gzip alone": _with(b"Transfer-Encoding: gzip"),
    "folded header": _with(b"Content-Length: 5", b" X-More: y"),
    "folded coding": _with(b"Transfer-Encoding:", b" chunked"),
    "space before the colon": _with(b"Content-Length : 5"),
    "line without a colon": _with(b"Content-Length"),
    "NUL in a header": _with(b"X-More: a\0b", b"Content-Length: 5"),
    "control character in a name": _with(b"X\x01More: a", b"Content-Length: 5"),
    "empty name": _with(b": a", b"Content-Length: 5"),
    "bare carriage return": _with(b"X-More: a\rContent-Length: 5"),
    "no host": _with(b"Content-Length: 5", host=False),
    "empty host": _with(b"Host:", b"Content-Length: 5", host=False),
    "host of somebody else": _with(b"Host: evil.example", b"Content-Length: 5", host=False),
    "host with a path": _with(b"Host: {host}/v2", b"Content-Length: 5", host=False),
    "host with a user": _with(b"Host: evil.example@{host}", b"Content-Length: 5", host=False),
    "host with a space": _with(b"Host: {host} evil.example", b"Content-Length: 5", host=False),
    "host of another with ours behind": _with(b"Host: evil.example", b"Host: {host}", b"Content-Length: 5", host=False),
    "host of another behind ours": _with(b"Host: {host}", b"Host: evil.example", b"Content-Length: 5", host=False),
    "absolute form for somebody else": _with(
        b"Content-Length: 5", line=b"POST http://evil.example/v2/team/app/blobs/uploads/ HTTP/1.1"
    ),
    "authority form": _with(b"Content-Length: 5", line=b"CONNECT evil.example:443 HTTP/1.1"),
    "asterisk form": _with(b"Content-Length: 5", line=b"POST * HTTP/1.1"),
    "no slash": _with(b"Content-Length: 5", line=b"POST v2/ HTTP/1.1"),
    "version 0.9": _with(b"Content-Length: 5", line=b"POST /v2/team/app/blobs/uploads/"),
    "version 2.0": _with(b"Content-Length: 5", line=b"POST /v2/team/app/blobs/uploads/ HTTP/2.0"),
    "version 1.2": _with(b"Content-Length: 5", line=b"POST /v2/team/app/blobs/uploads/ HTTP/1.2"),
    "space in the path": _with(b"Content-Length: 5", line=b"POST /v2/team/app /blobs/uploads/ HTTP/1.1"),
    "tab in the request line": _with(b"Content-Length: 5", line=b"POST\t/v2/team/app/blobs/uploads/ HTTP/1.1"),
    "NUL in the path": _with(b"Content-Length: 5", line=b"POST /v2/team/app\0/blobs/uploads/ HTTP/1.1"),
    "method that is none": _with(b"Content-Length: 5", line=b"PO ST /v2/team/app/blobs/uploads/ HTTP/1.1"),
    "TRACE": _with(b"Content-Length: 5", line=b"TRACE /v2/team/app/manifests/v1 HTTP/1.1"),
}


TAKEN = {
    "absolute form for somebody else": "the server hands on the path of an absolute target, and not its host",
}
"""What is not refused, and why: it says nothing that the request is decided on."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.xfail(reason=TAKEN[name])] if name in TAKEN else []) for name in REFUSED],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(
    target: AttackedServer, authorization: bytes, name: str
) -> None:
    before = target.state()
    statuses = sent(target, REFUSED[name](target, authorization))
    assert statuses == [] or 400 <= statuses[0] < 500, statuses
    assert all(400 <= status < 500 for status in statuses), statuses
    assert target.state() == before


@pytest.mark.parametrize(
    "name",
    [
        "length and coding",
        "coding and length",
        "coding in odd letters",
        "coding twice",
        "coding twice in one",
        "two codings",
    ],
)
def test_with_a_length_and_a_coding_nothing_is_hidden(target: AttackedServer, authorization: bytes, name: str) -> None:
    """RFC 9112 section 6.1: refuse it, or read it as chunked and close the connection."""
    lines = {
        "length and coding": (b"Content-Length: {length}", b"Transfer-Encoding: chunked"),
        "coding and length": (b"Transfer-Encoding: chunked", b"Content-Length: {length}"),
        "coding twice": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        "coding twice in one": (b"Transfer-Encoding: chunked, chunked",),
        "two codings": (b"Transfer-Encoding: gzip, chunked",),
        "coding in odd letters": (b"Content-Length: {length}", b"Transfer-Encoding: cHuNkEd"),
    }[name]
    before = target.state()[1]
    assert closes(target, _with(*lines)(target, authorization))
    statuses = sent(target, _with(*lines)(target, authorization))
    assert len(statuses) <= 1, statuses
    assert target.state()[1] == before


@pytest.mark.parametrize(
    "chunks",
    [
        b"5;x\r\nhello\r\n0\r\n\r\n",
        b"-1\r\n\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length: 5\r\nAuthorization: x\r\n\r\n",
    ],
    ids=str,
)
def test_chunks_that_can_be_read_in_two_ways(target: AttackedServer, authorization: bytes, chunks: bytes) -> None:
    """What comes behind them is not run. (Extensions and trailers are allowed; nothing is read from them.)"""
    before = target.state()[1]
    name = target.host.encode()
    head = b"PUT /v2/team/app/manifests/forged HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n" % (name, authorization)
    sent(target, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert target.state()[1] == before


@pytest.mark.parametrize(
    "name",
    ["authorization", "x-amz-target"],
)
def test_a_header_that_decides_and_is_there_twice(target: AttackedServer, name: str) -> None:
    method, path, headers, body = Signature(target.ada, content={"repositoryName": f"twice/{name}"}).make(target.host)
    other = {"authorization": basic("AWS", "x"), "x-amz-target": headers["x-amz-target"].replace("Create", "Delete")}
    for pairs in ([(name, other[name]), *headers.items()], [*headers.items(), (name, other[name])]):
        reply = target.send(method, path, pairs, body)
        assert 400 <= reply.status < 500, json.loads(reply.body)
