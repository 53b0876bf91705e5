"""Signs requests with Signature Version 4: the `Authorization` header of one request."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit

from moorage.login.keys import Key

_UNRESERVED = "-_.~"


def sign(
    key: Key,
    method: str,
    url: str,
    body: bytes = b"",
    *,
    region: str,
    service: str,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
) -> dict[str, str]:
    """Return `headers` and those that prove who sends the request.

    `url` is absolute; path and query are signed as they are, so they must be sent unchanged. `now`: seconds since the
    epoch. Every given header is signed. See AWS's "Create a signed request", for services other than S3.
    """
    parts = urlsplit(url)
    instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    payload = hashlib.sha256(body).hexdigest()
    sent = {**(headers or {}), "X-Amz-Content-Sha256": payload, "X-Amz-Date": instant}
    if key.token is not None:
        sent["X-Amz-Security-Token"] = key.token
    signed = {name.lower(): " ".join(value.split()) for name, value in sent.items()} | {"host": parts.netloc}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    path = quote(parts.path or "/", safe=f"/{_UNRESERVED}")
    canonical = "\n".join([method, path, _query(parts.query), lines, names, payload])
    scope = f"{instant[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{instant}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
    credential = f"Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return sent | {"Authorization": f"AWS4-HMAC-SHA256 {credential}"}


def _query(text: str) -> str:
    """Return names and values encoded by AWS's rule, sorted."""
    pairs = parse_qsl(text, keep_blank_values=True)
    encoded = sorted((quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)
