"""How commands talk to a running server: its `/_moorage/` calls, signed like any AWS call (service `moorage`)."""

import contextlib
import http.client
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from moorage.cli.client import local_server
from moorage.login.endpoint import Endpoint
from moorage.login.errors import EndpointError
from moorage.login.hosts import endpoint_of_environment
from moorage.login.keys import Found, find_key
from moorage.login.roles import assume
from moorage.login.signing import sign
from moorage.settings import Settings

_TIMEOUT = 60.0  # seconds


class ServerSaidNoError(Exception):
    """The server refused, or could not be reached; the message is for the person."""


class Client(NamedTuple):
    """A server, and the key that its calls are signed with."""

    url: str
    region: str
    ca: str | None
    found: Found

    def endpoint(self, timeout: float = _TIMEOUT) -> Endpoint:
        """The server as the login commands know it."""
        return Endpoint(self.url, self.region, self.ca, timeout)


def connect(*, data: Path | None = None, port: int | None = None, profile: str | None = None) -> Client:
    """Return a client of the server and with the key that the options and the environment name; see `find_key`.

    The server is the first of: `port` on this machine, AWS_ENDPOINT_URL, the profile's, the one of the data directory.
    Raises LoginError where a key is named and cannot be used.
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
    """Say on standard error as whom `client` acts: for commands that change something. Raises EndpointError."""
    arn = client.endpoint().identity(client.found.key)
    sys.stderr.write(f"acting as {arn}, key: {client.found.source}\n")
    return client


def call(
    client: Client, method: str, path: str, content: dict[str, Any] | None = None, *, timeout: float = _TIMEOUT
) -> Any:
    """The decoded JSON answer of `path`. Raises ServerSaidNoError with the server's own words."""
    with _answered(client, method, path, content, timeout) as answer:
        return _decoded(answer, client.url)


def pages(client: Client, path: str, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The answers of `path`, a page after the other: `next` of one is `after` of the following request."""
    after: dict[str, Any] = {}
    while True:
        answer: dict[str, Any] = call(client, "POST", path, content | after)
        yield answer
        if answer["next"] is None:
            return
        after = {"after": answer["next"]}


def stream(client: Client, method: str, path: str, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON lines of a long answer as they come. Raises ServerSaidNoError, also for an end before `"end": true`."""
    with _answered(client, method, path, content, _TIMEOUT) as answer:
        if answer.status != 200:
            _decoded(answer, client.url)
        for text in answer:
            line: dict[str, Any] = json.loads(text)
            if "error" in line:
                raise ServerSaidNoError(line["error"]["message"])
            yield line
            if line.get("end"):
                return
    raise ServerSaidNoError(f"the answer of {client.url} ended half-way")


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


def _decoded(answer: http.client.HTTPResponse, url: str) -> Any:
    text = answer.read()
    try:
        decoded = json.loads(text)
    except ValueError:
        raise ServerSaidNoError(f"{url} answered {answer.status}, and not as Moorage does") from None
    if answer.status != 200:
        raise ServerSaidNoError(str(decoded.get("message", decoded)))
    return decoded
