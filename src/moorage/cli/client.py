"""How commands talk to a running server: its `/_moorage/` calls, signed like any AWS call (service `moorage`)."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

from moorage.cli.home import Home, Key, read_key
from moorage.settings import Settings

_TIMEOUT = 60.0  # seconds


class ServerSaidNoError(Exception):
    """The server refused, or could not be reached; the message is for the person."""


def call(settings: Settings, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
    """The decoded JSON answer of `path`. Raises ServerSaidNoError with the server's own words."""
    url = os.environ.get("AWS_ENDPOINT_URL") or settings.public_url or f"http://{settings.host}:{settings.port}"
    home = Home.read(settings.data)
    region = os.environ.get("AWS_REGION") or (home.region if home is not None else settings.default_region)
    body = b"" if content is None else json.dumps(content).encode()
    parts = urlsplit(url)
    headers = _sign(_key(settings, home), method, parts.netloc, path, body, region)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        trust = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
        connection = http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT, context=trust)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
    except OSError as error:
        raise ServerSaidNoError(f"no answer from {url} ({error}). Is Moorage running?") from error
    finally:
        connection.close()
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


def _sign(key: Key, method: str, host: str, path: str, body: bytes, region: str) -> dict[str, str]:
    """Signature Version 4 over host, date and body; `path` is plain ASCII without a query."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    signed = {"host": host, "x-amz-content-sha256": payload, "x-amz-date": now}
    if key.token is not None:
        signed["x-amz-security-token"] = key.token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = "\n".join([method, path, "", lines, names, payload])
    scope = f"{now[:8]}/{region}/moorage/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
    headers = {name: value for name, value in signed.items() if name != "host"}
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers
