"""Answers of the server decoded into the structs that it encoded them from."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from moorage.analysis.access_report import AccessPage
from moorage.analysis.progress import Progress
from moorage.analysis.replay_report import ReplayLine
from moorage.cli.client import calls
from moorage.cli.client.calls import Client, ServerSaidNoError

CLIENT = Client("http://localhost:4580", "us-east-1", None, cast("Any", None))


class Answer(io.BytesIO):
    """An answer of the server, as `http.client` returns it."""

    status = 200


def answering(monkeypatch: pytest.MonkeyPatch, *bodies: bytes, status: int = 200) -> list[Any]:
    """Answer the next calls with the bodies. Returns the contents of the requests."""
    requests: list[Any] = []
    waiting = list(bodies)

    @contextlib.contextmanager
    def answered(_client: Client, _method: str, _path: str, content: Any, _timeout: float) -> Iterator[Answer]:
        requests.append(content)
        answer = Answer(waiting.pop(0))
        answer.status = status
        yield answer

    monkeypatch.setattr(calls, "_answered", answered)
    return requests


def test_pages_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    first = msgspec.json.encode(AccessPage([], None, "user/ann"))
    requests = answering(monkeypatch, first, msgspec.json.encode(AccessPage([], [], None)))
    pages = list(calls.pages_as(AccessPage, CLIENT, "/_moorage/access", {"repository": "app"}))
    assert [(page.widened, page.next) for page in pages] == [(None, "user/ann"), ([], None)]
    assert requests == [{"repository": "app"}, {"repository": "app", "after": "user/ann"}]


def test_lines_end_with_the_one_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, b'{"progress":{"read":1,"of":2}}\n{"end":true}\n{"progress":{"read":9,"of":9}}\n')
    lines = list(calls.lines_as(ReplayLine, CLIENT, "/_moorage/policy/try", {}))
    assert [line.progress for line in lines] == [Progress(1, 2), msgspec.UNSET]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"progress":{"read":1,"of":2}}\n', "ended before it was complete"),
        (b'{"error":{"__type":"ServerException","message":"the words of the server"}}\n', "the words of the server"),
        (b'{"progress":{"read":"many"}}\n', "cannot read"),
        (b"<html>\n", "not as Moorage does"),
    ],
)
def test_lines_that_are_no_whole_answer_are_errors(monkeypatch: pytest.MonkeyPatch, body: bytes, message: str) -> None:
    answering(monkeypatch, body)
    with pytest.raises(ServerSaidNoError, match=message):
        list(calls.lines_as(ReplayLine, CLIENT, "/_moorage/policy/try", {}))


@pytest.mark.parametrize("body", [b'{"message":"no such decision"}', b'{"__type":"X","message":"no such decision"}'])
def test_a_refusal_is_told_in_the_words_of_the_server(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    answering(monkeypatch, body, status=404)
    with pytest.raises(ServerSaidNoError, match="no such decision"):
        calls.call_as(AccessPage, CLIENT, "GET", "/_moorage/access")


def test_members_that_do_not_apply_are_absent() -> None:
    assert msgspec.json.encode(ReplayLine(progress=Progress(1, 2))) == b'{"progress":{"read":1,"of":2}}'
    assert msgspec.json.encode(ReplayLine(end=True)) == b'{"end":true}'
