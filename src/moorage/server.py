"""Runs the application: sockets, TLS, workers, signals.

granian serves it through its ASGI interface and brings failed workers back; on SIGTERM each worker finishes the
requests it has. Everything that must happen once (directories, keys, migrations) happens here before the workers start.
"""

import gc
import ipaddress
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from moorage import data_directory
from moorage.settings import Settings

_COLLECT_AFTER = (2_000, 10, 100)
"""New objects, and younger collections, after which cycles are looked for. A request makes none (`tests/bounds`), so
collections are insurance. A young one looks at 20,000 objects at most, in a few milliseconds; a full one looks at all
that is cached, which is bounded."""


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
    metrics_directory = _share_metrics(settings)
    os.register_at_fork(after_in_child=_end_on_signals)
    try:
        server = Server(
            "moorage",
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            http=HTTPModes.auto,
            loop=Loops.uvloop,
            websockets=False,
            workers=settings.workers,
            backpressure=1024,
            http1_settings=HTTP1Settings(header_read_timeout=30_000, max_buffer_size=1 << 20),
            respawn_failed_workers=True,
            respawn_interval=0.2,
            workers_kill_timeout=None,
            log_level=LogLevels.warning,
            ssl_cert=settings.tls_cert,
            ssl_key=settings.tls_key,
        )
        server.on_startup(on_start)
        server.serve(target_loader=lambda *_: _build(settings), wrap_loader=False)
    finally:
        if metrics_directory is not None:
            shutil.rmtree(metrics_directory, ignore_errors=True)


def _end_on_signals() -> None:
    """A worker that has not begun to answer ends at once when it is told to.

    Until it has handlers of its own a forked worker has the master's, which would note the signal in the worker's copy
    of the master's state: nobody would look there, and the master would wait for that worker for ever.
    """
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_DFL)


def _build(settings: Settings) -> Callable[..., Any]:
    # Imported here, in the worker: prometheus-client reads its environment when it is first imported.
    from moorage.application import build  # noqa: PLC0415

    application = build(settings)
    gc.collect()
    gc.freeze()  # modules and classes stay: no collection needs to look at them again
    gc.set_threshold(*_COLLECT_AFTER)
    return application


def _share_metrics(settings: Settings) -> Path | None:
    """With several workers, a directory through which their figures meet."""
    if settings.workers == 1:
        return None
    directory = Path(tempfile.mkdtemp(prefix="moorage-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    return directory
