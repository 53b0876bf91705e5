"""Runs the application: sockets, TLS, workers, signals.

granian serves it through its ASGI interface and brings failed workers back; on SIGTERM each worker finishes the
requests it has. Everything that must happen once (directories, keys, migrations) happens here before the workers start.
"""

import gc
import ipaddress
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server import Server

from moorage import data_directory
from moorage.connections import ConnectionWatch, Requests
from moorage.settings import Settings

_COLLECT_AFTER = (2_000, 10, 100_000)
"""New objects, and younger collections, after which cycles are looked for. A request makes none (`tests/bounds`), so
collections are insurance. A young one looks at 20,000 objects at most, in less than 20 ms. A full one looks at all that
is cached, which stops a worker with full caches for 175 ms: it comes after two billion objects more than were freed."""
_SWITCH_AFTER: Final = 0.001
"""Seconds after which a thread gives up Python's lock to another that waits for it. While a thread reads a long file,
the event loop waits that long, and not Python's 5 ms, after each statement of SQLite."""
_FILES: Final = 65_536
"""Open files that the server asks for at most."""
_BUFFER: Final = 1 << 20
"""Bytes that HTTP/1.1 reads at a time. Its headers may have as many before they are refused here; `api/visit.py` takes
fewer. With buffers of 64 KiB a large push takes half as much processor time again."""
_HEADERS: Final = 64 << 10
"""Bytes that the headers of HTTP/2 may have."""
_STREAMS: Final = 64
"""Requests at once over one connection of HTTP/2."""


class CannotServeError(Exception):
    """The settings do not allow to serve; the message says why and what would."""


def check(settings: Settings) -> None:
    """Refuse what must not be opened to the network (design: a non-loopback address needs TLS or --insecure)."""
    if _is_loopback(settings.host):
        return
    if settings.dev:
        raise CannotServeError(
            f"moorage dev has open keys and listens on loopback only, not on {settings.host}. "
            "For other machines use: moorage init, then moorage serve"
        )
    if settings.tls_cert is None and not settings.insecure:
        raise CannotServeError(
            f"{settings.host} can be reached from other machines, and passwords would travel in the clear. "
            "Give --tls-cert and --tls-key (moorage ca makes them), or --insecure if a proxy in front does TLS"
        )
    if settings.public_url is None:
        raise CannotServeError(
            f"Listening on {settings.host} needs --public-url, the URL by which clients reach this server"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def free_port(host: str, port: int) -> None:
    """CannotServeError when somebody listens on the address already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotServeError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def run(settings: Settings, *, on_start: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT. `on_start` is called once the socket is bound, before the workers answer."""
    check(settings)
    free_port(settings.host, settings.port)
    data_directory.prepare(settings.data)
    connections = min(settings.connections, raise_open_files() // 2)  # the other half is for files and databases
    metrics_directory = _share_metrics(settings)
    os.register_at_fork(after_in_child=_end_on_signals)
    try:
        server = Server(
            "moorage",
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            http=HTTPModes.auto if settings.http2 else HTTPModes.http1,
            loop=Loops.uvloop,
            websockets=False,
            workers=settings.workers,
            backpressure=connections,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(settings.header_seconds * 1000), max_buffer_size=_BUFFER
            ),
            http2_settings=HTTP2Settings(
                max_headers_size=_HEADERS,
                max_concurrent_streams=_STREAMS,
                keep_alive_interval=int(settings.header_seconds * 2000),
                keep_alive_timeout=int(settings.header_seconds) or 1,
            ),
            respawn_failed_workers=True,
            respawn_interval=0.2,
            workers_kill_timeout=None,
            log_level=LogLevels.warning,
            ssl_cert=settings.tls_cert,
            ssl_key=settings.tls_key,
        )
        server.on_startup(on_start)
        server.serve(target_loader=lambda *_: _build(settings, connections), wrap_loader=False)
    finally:
        if metrics_directory is not None:
            shutil.rmtree(metrics_directory, ignore_errors=True)


def raise_open_files() -> int:
    """Let this process and its workers open as many files as they may, within reason. Return how many that are.

    Many systems start programs with 1,024, which as many clients that say nothing would use up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _end_on_signals() -> None:
    """A worker that has not begun to answer ends at once when it is told to.

    Until it has handlers of its own a forked worker has the master's, which would note the signal in the worker's copy
    of the master's state: nobody would look there, and the master would wait for that worker for ever.
    """
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_DFL)


def _build(settings: Settings, connections: int) -> Callable[..., Any]:
    # Imported here, in the worker: prometheus-client reads its environment when it is first imported.
    from moorage import metrics  # noqa: PLC0415
    from moorage.application import build  # noqa: PLC0415

    application: Callable[..., Any] = build(settings)
    # HTTP/2 has no time limit of its own for a connection that says nothing.
    busy = Requests(application) if settings.http2 else None
    ConnectionWatch(
        settings.port,
        min(settings.connections_per_address, connections // 2),  # never all of them
        settings.trusted_proxies,
        idle_seconds=settings.header_seconds if settings.http2 else None,
        busy=busy,
        closed=metrics.CONNECTIONS_CLOSED.inc,
    ).start()
    if busy is not None:
        application = busy
    gc.collect()
    gc.freeze()  # modules and classes stay: no collection needs to look at them again
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_AFTER)
    return application


def _share_metrics(settings: Settings) -> Path | None:
    """With several workers, a directory through which their figures meet."""
    if settings.workers == 1:
        return None
    directory = Path(tempfile.mkdtemp(prefix="moorage-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    return directory
