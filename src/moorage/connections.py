"""Closes connections that a worker should not keep: too many from one address, and idle ones of HTTP/2.

The server accepts connections in native code, which does not count them by address, and which waits for the first bytes
of HTTP/2 without a time limit. So a thread of the worker inspects its sockets every second, as the kernel reports them,
and shuts down the surplus. To the server, it looks as if their clients had closed them.
"""

import ipaddress
import os
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import structlog

from moorage.settings import Network

_Application: TypeAlias = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

BACKLOG: Final = 1024
"""Connections that wait to be accepted, in all workers together."""
_EVERY: Final = 1.0
"""Seconds between two inspections."""
_WARN_EVERY: Final = 60.0
_DESCRIPTORS: Final = "/dev/fd"
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)  # exists on Linux only
_TIMES: Final = struct.Struct("44xI4xI")
"""Offsets in Linux's `struct tcp_info`: milliseconds since data was last sent, and since it was last received."""

_log = structlog.get_logger()


class _Peer(NamedTuple):
    """The client's end of a connection."""

    address: str
    port: int
    network: bytes
    """What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 address, which one subscriber has.
    """


class Requests:
    """An ASGI application in front of `application` that knows which clients have a request in progress."""

    def __init__(self, application: _Application) -> None:
        self._application = application
        self._under_way: dict[tuple[str, str], int] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        client = scope.get("client")
        if client is None:
            await self._application(scope, receive, send)
            return
        self._under_way[client] = self._under_way.get(client, 0) + 1
        try:
            await self._application(scope, receive, send)
        finally:
            left = self._under_way.pop(client) - 1
            if left:
                self._under_way[client] = left

    def __contains__(self, peer: tuple[str, int]) -> bool:
        return (peer[0], str(peer[1])) in self._under_way  # the server passes ports as text


class ConnectionWatch:
    """Watches the connections to `port` of this process.

    `most`: connections from one address; the surplus is closed, the longest idle first. 0: no limit. `exempt`: networks
    whose addresses may have more: proxies, which carry the connections of many clients. `idle_seconds`: how long a
    connection without a request in `busy` may be silent; None: no limit.
    """

    def __init__(
        self,
        port: int,
        most: int,
        exempt: Sequence[Network],
        *,
        idle_seconds: float | None = None,
        busy: Requests | None = None,
        closed: Callable[[int], None] = lambda _number: None,
    ) -> None:
        self._port = port
        self._most = most
        self._exempt = tuple(exempt)
        self._idle_seconds = idle_seconds
        self._busy = busy
        self._closed = closed
        self._warned = -_WARN_EVERY

    def start(self) -> None:
        """Watch until the process ends."""
        threading.Thread(target=self._watch, name="connections", daemon=True).start()

    def look(self) -> int:
        """Close the connections that should not be kept, and return how many were closed."""
        descriptors = [int(name) for name in os.listdir(_DESCRIPTORS)]  # noqa: PTH208 - names alone, and thousands
        if self._idle_seconds is None and (not self._most or len(descriptors) <= self._most):
            return 0
        of_network: dict[bytes, list[tuple[int, _Peer]]] = {}
        for descriptor in descriptors:
            peer = self._peer(descriptor)
            if peer is not None:
                of_network.setdefault(peer.network, []).append((descriptor, peer))
        closed = 0
        for connections in of_network.values():
            closed += sum([self._close(*each) for each in self._surplus(connections)])
        return closed

    def _surplus(self, connections: list[tuple[int, _Peer]]) -> Iterator[tuple[int, _Peer]]:
        """Return those connections of one address that must be closed."""
        crowded = 0 < self._most < len(connections) and not self._is_exempt(connections[0][1])
        if not crowded and self._idle_seconds is None:
            return
        by_idleness = sorted([(_idle(descriptor), descriptor, peer) for descriptor, peer in connections], reverse=True)
        kept = len(connections)
        for idle, descriptor, peer in by_idleness:
            too_many = crowded and kept > self._most
            if too_many or (self._idle_seconds is not None and idle >= self._idle_seconds and not self._is_busy(peer)):
                kept -= 1
                yield descriptor, peer
        if kept < len(connections) and crowded:
            self._warn(by_idleness[0][2].address, len(connections))

    def _is_busy(self, peer: _Peer) -> bool:
        return self._busy is not None and (peer.address, peer.port) in self._busy

    def _is_exempt(self, peer: _Peer) -> bool:
        address = ipaddress.ip_address(peer.address.partition("%")[0].removeprefix("::ffff:"))
        return any(address in network for network in self._exempt)

    def _peer(self, descriptor: int) -> _Peer | None:
        """Return the client at the other end of the descriptor; None if it is not a client's connection."""
        try:
            with _socket(descriptor) as found:
                if found.family not in {socket.AF_INET, socket.AF_INET6} or found.getsockname()[1] != self._port:
                    return None
                address, port = found.getpeername()[:2]
        except OSError:  # not a socket, a listening socket, or closed by now
            return None
        if ":" not in address:
            return _Peer(address, port, socket.inet_pton(socket.AF_INET, address))
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
        mapped = packed.startswith(bytes(10) + b"\xff\xff")
        return _Peer(address, port, packed[12:] if mapped else packed[:8])

    def _close(self, descriptor: int, peer: _Peer) -> bool:
        """Shut the connection down, unless the descriptor belongs to another one by now."""
        try:
            held = os.dup(descriptor)
        except OSError:
            return False
        try:
            if self._peer(held) != peer:
                return False
            with _socket(held) as found:
                found.shutdown(socket.SHUT_RDWR)
        except OSError:
            return False
        finally:
            os.close(held)
        return True

    def _warn(self, address: str, number: int) -> None:
        now = time.monotonic()
        if now - self._warned >= _WARN_EVERY:
            self._warned = now
            _log.warning("too many connections of one address", address=address, connections=number, most=self._most)

    def _watch(self) -> None:
        while True:
            time.sleep(_EVERY)
            try:
                closed = self.look()
            except Exception:  # noqa: BLE001 - the next look may succeed, and without any the worker has no limit
                _log.exception("could not look at the connections")
                continue
            if closed:
                self._closed(closed)


@contextmanager
def _socket(descriptor: int) -> Iterator[socket.socket]:
    """Yield a socket over a descriptor that stays open."""
    found = socket.socket(fileno=descriptor)
    try:
        yield found
    finally:
        found.detach()


def _idle(descriptor: int) -> float:
    """Return the seconds since anything was received or sent; 0 if the system does not report it."""
    if _TCP_INFO is None:
        return 0.0
    try:
        with _socket(descriptor) as found:
            sent, received = _TIMES.unpack(found.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TIMES.size))
    except OSError:
        return 0.0
    return float(min(sent, received)) / 1000.0
