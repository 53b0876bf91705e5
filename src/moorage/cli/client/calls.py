"""Calls to a running server: the operations under `/_moorage/`, signed like any AWS call (service `moorage`)."""

import contextlib
import http.client
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from moorage.analysis.progress import AnswerLine
from moorage.cli.client import local_server
from moorage.login.endpoint import Endpoint
from moorage.login.errors import EndpointError
from moorage.login.hosts import endpoint_of_environment
from moorage.login.keys import Found, find_key
from moorage.login.roles import assume
from moorage.login.signing import sign
from moorage.settings import Settings

_TIMEOUT = 60.0  # seconds


class Page(Protocol):
    """A page of an answer."""

    @property
    def next(self) -> str | None:
        """`after` of the request for the next page; None for the last page."""


T = TypeVar("T")
P = TypeVar("P", bound=Page)
L = TypeVar("L", bound=AnswerLine)


class ServerSaidNoError(Exception):
    """The server refused the call or could not be reached. The message is for the person."""


class Client(NamedTuple):
    """A server, and the key that signs its calls."""

    url: str
    region: str
    ca: str | None
    found: Found

    def endpoint(self, timeout: float = _TIMEOUT) -> Endpoint:
        """The server in the form that the login commands use."""
        return Endpoint(self.url, self.region, self.ca, timeout)


def connect(*, data: Path | None = None, port: int | None = None, profile: str | None = None) -> Client:
    """Return a client with the server and the key that the options and the environment name; see `find_key`.

    The server is the first of: `port` on this machine, AWS_ENDPOINT_URL, that of the profile, that of the data
    directory. Raises LoginError if a key is named and cannot be used.
    """
    settings = Settings.from_environment(data=data, port=port)
    found = find_key(os.environ, settings.data, profile=profile)
    served = local_server.served(settings, port)
    url = served.url
    if port is None:
        url = endpoint_of_environment(os.environ) or found.endpoint or served.url
    client = Client(url.rstrip("/"), local_server.region(settings, found), local_server.ca_for(url, served), found)
    return client._replace(found=assume(found, client.endpoint()))


def acting(client: Client) -> Client:
    """Print on standard error who `client` acts as, for commands that change something. Raise EndpointError."""
    arn = client.endpoint().identity(client.found.key)
    sys.stderr.write(f"acting as {arn}, key: {client.found.source}\n")
    return client


def call(
    client: Client, method: str, path: str, content: dict[str, Any] | None = None, *, timeout: float = _TIMEOUT
) -> Any:
    """Return the decoded JSON response of `path`. Raise ServerSaidNoError with the server's message."""
    anything: Any = Any  # a type for msgspec, which is no class for mypy
    return call_as(anything, client, method, path, content, timeout=timeout)


def pages(client: Client, path: str, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the responses of `path` page by page: `next` of one is `after` of the following request."""
    after: dict[str, Any] = {}
    while True:
        answer: dict[str, Any] = call(client, "POST", path, content | after)
        yield answer
        if answer["next"] is None:
            return
        after = {"after": answer["next"]}


def call_as(
    kind: type[T],
    client: Client,
    method: str,
    path: str,
    content: dict[str, Any] | None = None,
    *,
    timeout: float = _TIMEOUT,
) -> T:
    """Return the JSON answer of `path` decoded as `kind`. Raise ServerSaidNoError."""
    with _answered(client, method, path, content, timeout) as answer:
        text = answer.read()
        if answer.status != 200:
            raise _refusal(text, answer.status, client.url)
        return _decoded_as(kind, text, client.url)


def pages_as(kind: type[P], client: Client, path: str, content: dict[str, Any]) -> Iterator[P]:
    """Yield the pages that `path` answers with, decoded as `kind`: `next` of one is `after` of the next request."""
    after: dict[str, Any] = {}
    while True:
        page = call_as(kind, client, "POST", path, content | after)
        yield page
        if page.next is None:
            return
        after = {"after": page.next}


def lines_as(kind: type[L], client: Client, path: str, content: dict[str, Any]) -> Iterator[L]:
    """Yield the JSON lines of a long answer, decoded as `kind`, as they arrive.

    Raise ServerSaidNoError, also if the answer ends without a line that says `"end": true`.
    """
    with _answered(client, "POST", path, content, _TIMEOUT) as answer:
        if answer.status != 200:
            raise _refusal(answer.read(), answer.status, client.url)
        for text in answer:
            line = _decoded_as(kind, text, client.url)
            if line.error:
                raise ServerSaidNoError(line.error.message)
            yield line
            if line.end:
                return
    raise ServerSaidNoError(f"The answer of {client.url} ended before it was complete.")


@contextlib.contextmanager
def _answered(
    client: Client, method: str, path: str, content: dict[str, Any] | None, timeout: float
) -> Iterator[http.client.HTTPResponse]:
    body = b"" if content is None else json.dumps(content).encode()
    headers = sign(client.found.key, method, f"{client.url}{path}", body, region=client.region, service="moorage")
    try:
        with client.endpoint(timeout).exchange(method, path, headers, body) as answer:
            yield answer
    except EndpointError as error:
        advice = ". Is Moorage running?" if error.code == "unreachable" else ""
        raise ServerSaidNoError(f"{error}{advice}") from error


def _decoded_as(kind: type[T], text: bytes, url: str) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise ServerSaidNoError(
            f"{url} answered in a form that this version of moorage cannot read: {error}"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _unexpected(200, url) from None


def _refusal(text: bytes, status: int, url: str) -> ServerSaidNoError:
    """Return the error that the server answered with, in its own words."""
    try:
        decoded = json.loads(text)
    except ValueError:
        return _unexpected(status, url)
    return ServerSaidNoError(str(decoded.get("message", decoded)))


def _unexpected(status: int, url: str) -> ServerSaidNoError:
    return ServerSaidNoError(f"{url} answered {status}, and not as Moorage does")
