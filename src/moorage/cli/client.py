"""How commands talk to a running server: its `/_moorage/` calls, signed like any AWS call (service `moorage`)."""

import contextlib
import http.client
import json
import os
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from moorage.cli.home import Home, read_key
from moorage.login.keys import Key
from moorage.login.signing import sign
from moorage.settings import Settings

_TIMEOUT = 60.0  # seconds


class ServerSaidNoError(Exception):
    """The server refused, or could not be reached; the message is for the person."""


def call(
    settings: Settings, method: str, path: str, content: dict[str, Any] | None = None, *, timeout: float = _TIMEOUT
) -> Any:
    """The decoded JSON answer of `path`. Raises ServerSaidNoError with the server's own words."""
    with _answered(settings, method, path, content, timeout) as (answer, url):
        return _decoded(answer, url)


def pages(settings: Settings, path: str, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The answers of `path`, a page after the other: `next` of one is `after` of the following request."""
    after: dict[str, Any] = {}
    while True:
        answer: dict[str, Any] = call(settings, "POST", path, content | after)
        yield answer
        if answer["next"] is None:
            return
        after = {"after": answer["next"]}


def stream(settings: Settings, method: str, path: str, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON lines of a long answer as they come. Raises ServerSaidNoError, also for an end before `"end": true`."""
    with _answered(settings, method, path, content) as (answer, url):
        if answer.status != 200:
            _decoded(answer, url)
        for text in answer:
            line: dict[str, Any] = json.loads(text)
            if "error" in line:
                raise ServerSaidNoError(line["error"]["message"])
            yield line
            if line.get("end"):
                return
    raise ServerSaidNoError(f"the answer of {url} ended half-way")


@contextlib.contextmanager
def _answered(
    settings: Settings, method: str, path: str, content: dict[str, Any] | None, timeout: float = _TIMEOUT
) -> Iterator[tuple[http.client.HTTPResponse, str]]:
    served = f"{settings.scheme}://{settings.host}:{settings.port}"
    url = os.environ.get("AWS_ENDPOINT_URL") or settings.public_url or served
    home = Home.read(settings.data)
    region = os.environ.get("AWS_REGION") or (home.region if home is not None else settings.default_region)
    body = b"" if content is None else json.dumps(content).encode()
    parts = urlsplit(url)
    signed_url = f"{parts.scheme}://{parts.netloc}{path}"
    headers = sign(_key(settings, home), method, signed_url, body, region=region, service="moorage")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        trust = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=trust)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers)
        yield connection.getresponse(), url
    except (OSError, http.client.HTTPException) as error:
        raise ServerSaidNoError(f"no answer from {url} ({error}). Is Moorage running?") from error
    finally:
        connection.close()


def _decoded(answer: http.client.HTTPResponse, url: str) -> Any:
    text = answer.read()
    try:
        decoded = json.loads(text)
    except ValueError:
        raise ServerSaidNoError(f"{url} answered {answer.status}, and not as Moorage does") from None
    if answer.status != 200:
        raise ServerSaidNoError(str(decoded.get("message", decoded)))
    return decoded


def _key(settings: Settings, home: Home | None) -> Key:
    """The environment's key, else the one that `moorage init` made here, else a development key."""
    if "AWS_ACCESS_KEY_ID" in os.environ and "AWS_SECRET_ACCESS_KEY" in os.environ:
        token = os.environ.get("AWS_SESSION_TOKEN")
        return Key(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], token)
    kept = read_key(settings.data, None) if home is not None else None
    return kept or Key("test", "test")
