"""Measures every request: how long its body takes, the figures of the metrics, and its line in the access log."""

from collections.abc import Awaitable, Iterable

import structlog

from moorage import metrics
from moorage.api.asgi import AccessLine, Message, Receive, Scope, Send
from moorage.api.body_timer import BodyTimer
from moorage.errors import RequestTimeout

_log = structlog.get_logger()
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


class Traffic:
    """Passes the messages of one request on, times its body, and counts what is received and sent."""

    __slots__ = ("_budget", "_headers", "_receive", "_send", "_timer", "received", "sent", "status")

    def __init__(self, receive: Receive, send: Send, timer: BodyTimer) -> None:
        self._receive = receive
        self._send = send
        self._timer = timer
        self._budget: float | None = timer.pause
        """Seconds that the server may still spend waiting for the body; None once the body is complete."""
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        self.status = 0
        self.received = 0
        """Bytes of the request's body."""
        self.sent = 0
        """Bytes of the response's body."""

    async def receive(self) -> Message:
        """Return the next message. Raise RequestTimeout if the body is too slow; after that, return a disconnect.

        After the body, the only message is the client's disconnect; a long response may wait long for it.
        """
        if self._budget is None:
            return await self._receive()
        if self._budget < 0:
            return {"type": "http.disconnect"}
        try:
            message, budget = await self._timer.receive(self._receive, self._budget)
        except RequestTimeout:
            self._budget = -1.0
            if self.status:  # the response is sent, and only the rest of the body is being discarded
                return {"type": "http.disconnect"}
            raise
        self._budget = budget if message.get("more_body", False) else None
        self.received += len(message.get("body", b""))
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = message["headers"]
        elif message["type"] == "http.response.pathsend":  # a whole file, which the server sends itself
            self.sent += int(dict(self._headers)[b"content-length"])
        else:
            self.sent += len(message.get("body", b""))
        return self._send(message)

    def release(self) -> None:
        """Drop the references to the connection, which the server closes once nothing can read from it.

        An exception raised in the request may keep its frames, and with them this object, until the garbage collector
        runs.
        """
        self._receive = _disconnected
        self._send = _discard


class TrafficCounters:
    """Counts requests in the metrics, and writes their lines in the access log."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str, int], _Counters] = {}

    def count(self, api: str, scope: Scope, traffic: Traffic, seconds: float) -> None:
        """Count a finished request. `api`: which application served it; `seconds`: how long it took."""
        # A client may send any method: those that the server does not know are counted as one.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = (api, method, traffic.status)
        counters = self._counters.get(key)
        if counters is None:
            counters = self._counters[key] = _Counters(api, method, traffic.status)
        counters.requests.inc()
        counters.latency.observe(seconds)
        if traffic.received:
            counters.received.inc(traffic.received)
        if traffic.sent:
            counters.sent.inc(traffic.sent)


class _Counters:
    """The counters for one combination of labels; looking them up costs more than counting."""

    __slots__ = ("latency", "received", "requests", "sent")

    def __init__(self, api: str, method: str, status: int) -> None:
        self.requests = metrics.REQUESTS.labels(api, method, str(status))
        self.latency = metrics.SECONDS.labels(api)
        self.received = metrics.RECEIVED.labels(api)
        self.sent = metrics.SENT.labels(api)


def log_request(scope: Scope, traffic: Traffic, seconds: float, line: AccessLine) -> None:
    """Write a finished request to the access log."""
    client = scope.get("client")
    _log.info(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=traffic.status,
        milliseconds=round(seconds * 1000, 2),
        received=traffic.received,
        sent=traffic.sent,
        client=client[0] if client else None,
        **{name: value for name in AccessLine.__slots__ if (value := getattr(line, name)) is not None},
    )


async def _disconnected() -> Message:
    return {"type": "http.disconnect"}


async def _discard(message: Message) -> None:
    del message
