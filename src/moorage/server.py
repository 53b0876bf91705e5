"""Runs the application: checks the settings, binds the socket, and keeps workers running on it.

Everything that happens once (the socket, directories, limits) happens here before the workers start. They share one
socket: a connection that arrives while a worker is replaced waits for another worker, and is not refused.
"""

import dataclasses
import ipaddress
import os
import resource
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from moorage import data_directory, logs
from moorage.connections import BACKLOG
from moorage.settings import Settings
from moorage.store.metadata.audit.damaged_file import set_aside_damaged
from moorage.supervisor import Supervisor

_log = structlog.get_logger()

_FILES: Final = 65_536
"""Most open files that the server asks for."""


class CannotServeError(Exception):
    """The settings do not allow the server to start. The message says why, and what would allow it."""


def check(settings: Settings) -> None:
    """Refuse to listen on a non-loopback address without TLS or --insecure (docs/development/design.md §4)."""
    if _is_loopback(settings.host):
        return
    if settings.dev:
        raise CannotServeError(
            f"moorage dev has open keys and listens on loopback only, not on {settings.host}. "
            "For other machines use: moorage init, then moorage serve"
        )
    if settings.tls_cert is None and not settings.insecure:
        raise CannotServeError(
            f"{settings.host} can be reached from other machines, and passwords would be sent unencrypted. "
            "Use --tls-cert and --tls-key (moorage ca creates them), or --insecure behind a proxy that does TLS"
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


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address; port 0 is any free port. Raise CannotServeError."""
    if not 0 <= port <= 65535:  # getaddrinfo would accept the port modulo 65536
        raise CannotServeError(f"cannot listen on port {port}: ports are 0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotServeError(f"cannot listen on {host}: {error.strerror}") from error
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)  # localhost: 127.0.0.1
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotServeError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def run(settings: Settings, *, on_start: Callable[[Settings], None] = lambda _settings: None) -> None:
    """Serve until SIGTERM or SIGINT. `on_start` is called with the port when the first worker serves requests.

    SIGHUP replaces the workers, which read the certificate again. Ends the process with status 1 if no worker starts.
    """
    # Imported here: importing them takes longer than every other command runs.
    from moorage import preflight  # noqa: PLC0415
    from moorage.worker import work  # noqa: PLC0415

    check(settings)
    check_certificate(settings)
    listener = listen(settings.address, settings.port)
    settings = dataclasses.replace(settings, port=listener.getsockname()[1])
    logs.configure(settings.log_format)
    data_directory.prepare(settings.data, warn=logs.warn(settings.log_format))
    if settings.database_url is None:
        aside = set_aside_damaged(settings.data / "audit.db")
        if aside is not None:
            _log.error("the audit record is damaged: it was renamed, and a new one begins", renamed_to=str(aside))
    preflight.check(settings)
    connections = min(settings.connections, raise_open_files() // 2)  # the other half is for files and databases
    metrics_directory = _share_metrics(settings)
    try:
        status = Supervisor(
            lambda *of_worker: work(settings, listener, connections, *of_worker),
            settings.workers,
            settings.shutdown_seconds,
            on_ready=lambda: on_start(settings),
            on_ending=listener.close,
            check=lambda: check_certificate(settings),
            refusal=CannotServeError,
            on_end=lambda pid: _forget_metrics(metrics_directory, pid),
        ).run()
    finally:
        if metrics_directory is not None:
            shutil.rmtree(metrics_directory, ignore_errors=True)
    if status:
        sys.exit(status)


def check_certificate(settings: Settings) -> None:
    """Raise CannotServeError if TLS is configured and the certificate or its key cannot be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    for path in (settings.tls_cert, settings.tls_key):
        try:
            path.read_bytes()
        except OSError as error:
            raise CannotServeError(f"cannot read {path}: {error.strerror}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_cert,
            settings.tls_key,
            password=lambda: "",  # otherwise OpenSSL asks for a password at the terminal
        )
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise CannotServeError(
            f"the certificate {settings.tls_cert} and the key {settings.tls_key} cannot be used together: {reason}. "
            "Both must be PEM, and the key must be that of the first certificate"
        ) from error


def raise_open_files() -> int:
    """Raise the limit of open files of this process and its workers, within reason. Return the new limit.

    Many systems start programs with a limit of 1,024, which that many silent clients would use up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _share_metrics(settings: Settings) -> Path | None:
    """With several workers, create the directory through which they share their metrics."""
    if settings.workers == 1:
        return None
    directory = Path(tempfile.mkdtemp(prefix="moorage-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    return directory


def _forget_metrics(directory: Path | None, pid: int) -> None:
    """Remove a worker that ended from the metrics of living workers."""
    for file in directory.glob(f"gauge_live*_{pid}.db") if directory is not None else ():
        file.unlink(missing_ok=True)
