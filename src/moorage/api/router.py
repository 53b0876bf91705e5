"""Routes each request to an application by its path: /v2/, the AWS services on `/`, web pages, and /_moorage/."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from moorage.api.asgi import ACCESS_LINE, AccessLine, Receive, Scope, Send, headers_of, respond
from moorage.api.body_timer import BodyTimer
from moorage.api.injected_faults import Faults
from moorage.api.traffic import Traffic, TrafficCounters, log_request

AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_WITH_FAULTS: Final = frozenset({"aws", "oci"})
"""The applications whose requests dev mode can delay or refuse."""

_WITHOUT_BODY: Final = frozenset({"CONNECT", "TRACE"})
"""Methods that no operation has and whose requests have no body (RFC 9110, sections 9.3.6 and 9.3.8).

What follows their headers is a body to some readers and the next request to others, so the connection is closed.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apps:
    """The applications behind the router."""

    aws: AsgiApp
    """ECR, IAM, STS and the other AWS services: requests to `/`."""
    oci: AsgiApp
    """The OCI Distribution API: /v2/."""
    admin: AsgiApp
    """Moorage's own API: /_moorage/, /metrics, and everything else."""
    console: AsgiApp
    """Web pages: `/` for browsers."""


class Router:
    """The ASGI application in front of all others. It counts, times and logs every request."""

    def __init__(self, apps: Apps, timer: BodyTimer, *, faults: Faults | None, access_log: bool) -> None:
        """`faults`: the injected faults of dev mode; None outside of it."""
        self._apps = apps
        self._timer = timer
        self._faults = faults
        self._access_log = access_log
        self._counters = TrafficCounters()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in _WITHOUT_BODY or _has_ambiguous_length(scope):
            await respond(send, 400, [(b"connection", b"close"), (b"content-length", b"0")])
            return
        name, app = self._route(scope)
        line = None
        if self._access_log:
            line = scope[ACCESS_LINE] = AccessLine()
        traffic = Traffic(receive, send, self._timer)
        started = time.perf_counter()
        try:
            if self._faults is not None and self._faults.rules and name in _WITH_FAULTS:
                await self._faults.meet(scope)
            await app(scope, traffic.receive, traffic.send)
        finally:
            seconds = time.perf_counter() - started
            self._counters.count(name, scope, traffic, seconds)
            if line is not None:
                log_request(scope, traffic, seconds, line)
            traffic.release()

    def _route(self, scope: Scope) -> tuple[str, AsgiApp]:
        """Return the application for a request, and its name in the metrics."""
        path: str = scope["path"]
        if path.startswith("/v2/") or path == "/v2":
            return "oci", self._apps.oci
        if path == "/":
            if is_from_browser(scope):
                return "console", self._apps.console
            return "aws", self._apps.aws
        return "admin", self._apps.admin


def is_from_browser(scope: Scope) -> bool:
    """Return whether a request to `/` asks for a web page and not for an AWS operation.

    AWS operations are POST requests, or GET requests of the Query protocol, which name an action in the query; SDKs do
    not accept text/html.
    """
    if scope["method"] not in {"GET", "HEAD"} or scope["query_string"]:
        return False
    headers = headers_of(scope)
    return b"authorization" not in headers and b"text/html" in headers.get(b"accept", b"")


def _has_ambiguous_length(scope: Scope) -> bool:
    """Return whether readers may disagree on where the body ends (RFC 9112, section 6.1).

    The server accepts any list of transfer codings that ends in `chunked`, even `chunked` twice. A proxy may see
    the end of the body elsewhere, so the connection is closed.
    """
    codings = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
    return bool(codings) and (len(codings) > 1 or codings[0].lower() != b"chunked")
