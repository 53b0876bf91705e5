"""The page that a browser gets at `/`, which AWS operations keep to themselves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moorage.api.asgi import Message, Scope
from moorage.api.router import is_from_browser
from moorage.application import Application
from moorage.settings import Settings
from tests.support.in_process import Reply, in_process

ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as made:
        yield made.asgi


async def ask(application: Application, method: str, accept: str) -> Reply:
    """Send a request to `/` without a signature."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"localhost:4580"), (b"accept", accept.encode())],
        "client": ("127.0.0.1", 50000),
    }
    await application(scope, receive, send)
    start, *rest = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], headers, b"".join(each.get("body", b"") for each in rest))


async def test_a_browser_gets_a_page(application: Application) -> None:
    answer = await ask(application, "GET", ACCEPT)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert b"moorage login" in answer.body
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_a_head_request_gets_the_headers_of_the_page(application: Application) -> None:
    answer = await ask(application, "HEAD", ACCEPT)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert int(answer.headers["content-length"]) > 0


async def test_other_clients_get_the_answer_of_the_aws_services(application: Application) -> None:
    answer = await ask(application, "GET", "*/*")
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("POST", b"", [(b"accept", b"text/html")]),
        ("GET", b"Action=GetCallerIdentity", [(b"accept", b"text/html")]),
        ("GET", b"", [(b"accept", b"text/html"), (b"authorization", b"AWS4-HMAC-SHA256 Credential=x")]),
        ("GET", b"", []),
    ],
)
def test_requests_that_may_name_an_operation_are_not_from_browsers(
    method: str, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    assert not is_from_browser({"type": "http", "method": method, "query_string": query, "headers": headers})
