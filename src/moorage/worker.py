"""A worker process: builds the application, and serves it with granian until it is signaled to end.

Only granian's server in native code is used, not its process management (see `moorage.supervisor`). One event loop runs
from the start of the application to its end: signals that arrive while no loop runs can be lost.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop
from granian import _futures, _granian
from granian.constants import HTTPModes, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from sqlalchemy.exc import DBAPIError

from moorage.connections import BACKLOG, ConnectionWatch, Requests
from moorage.data_directory import UnusableDataError
from moorage.settings import SettingError, Settings
from moorage.supervisor import RETIRE, Ready

if TYPE_CHECKING:
    from moorage.application import Application

_COLLECT_AFTER = (2_000, 10, 100_000)
"""Thresholds of the garbage collector: new objects, and younger collections, before it looks for reference cycles.

A request creates no cycles (`tests/bounds`), so collections are insurance. A young one looks at 20,000 objects at most,
in less than 20 ms. A full one looks at everything that is cached, which stops a worker with full caches for 175 ms: it
runs after two billion objects more were created than freed.
"""
_SWITCH_AFTER: Final = 0.001
"""Seconds after which a thread releases Python's lock to another thread that waits for it. While a thread parses a long
file, the event loop waits this long, instead of Python's default of 5 ms, after each statement of SQLite."""
_BUFFER: Final = 1 << 20
"""Bytes that HTTP/1.1 reads at a time. The headers of a request may have as many before the server refuses them;
`api/request_source.py` accepts fewer. With buffers of 64 KiB, a large push takes 50 % more processor time."""
_HEADERS: Final = 64 << 10
"""Bytes that the headers of HTTP/2 may have."""
_STREAMS: Final = 64
"""Concurrent requests over one HTTP/2 connection."""
_CANCEL_SECONDS: Final = 2.0
"""Seconds for requests to end that are canceled when the time for shutting down is over."""

_log = structlog.get_logger()


def work(
    settings: Settings, listener: socket.socket, connections: int, number: int, ready: Ready, supervisor: socket.socket
) -> int:
    """Serve requests from `listener`, at most `connections` at a time. Return the exit status.

    `ready` is called when requests are served. The process ends when `supervisor` is at end of file.
    """
    # Imported here, in the worker: prometheus-client reads its environment when it is first imported.
    from moorage import metrics  # noqa: PLC0415
    from moorage.application import build  # noqa: PLC0415

    application = build(settings)
    # HTTP/2 has no time limit of its own for a silent connection.
    busy = Requests(application) if settings.http2 else None
    ConnectionWatch(
        settings.port,
        min(settings.connections_per_address, connections // 2),  # never all of them
        settings.trusted_proxies,
        idle_seconds=settings.header_seconds if settings.http2 else None,
        busy=busy,
        closed=metrics.CONNECTIONS_CLOSED.inc,
    ).start()
    gc.collect()
    gc.freeze()  # modules and classes stay: no collection needs to look at them again
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_AFTER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            _live(application, busy or application, settings, listener, connections, number, ready, supervisor)
        )


async def _live(
    application: "Application",
    answering: Any,
    settings: Settings,
    listener: socket.socket,
    connections: int,
    number: int,
    ready: Ready,
    supervisor: socket.socket,
) -> int:
    loop = asyncio.get_running_loop()
    loop.add_reader(supervisor.fileno(), os._exit, 1)  # readable when nobody has the other end any more
    try:
        await application.start()
    except (SettingError, UnusableDataError) as error:
        _log.error("cannot start", reason=str(error))
        return 1
    except DBAPIError as error:
        _log.error("cannot start", reason=f"the database cannot be used: {error.orig}. Check it: moorage fsck")
        return 1
    # Before this line, SIGTERM ended the process at once: nothing had been served yet.
    ending, hurrying = asyncio.Event(), asyncio.Event()

    def hurry() -> None:
        ending.set()
        hurrying.set()

    loop.add_signal_handler(signal.SIGTERM, hurry)
    loop.add_signal_handler(RETIRE, ending.set)
    server = _NativeServer(answering, settings, listener, connections)
    ready()
    if number == 0:  # a daemon thread, which delays nothing when the server ends
        threading.Thread(target=application.check_data, name="check", daemon=True).start()
    await ending.wait()
    server.stop()
    await _finish(server, hurrying, settings.shutdown_seconds)
    await application.stop()
    return 0


async def _finish(server: "_NativeServer", hurrying: asyncio.Event, seconds: float) -> None:
    """Wait until all requests have got their responses. Once `hurrying` is set, wait at most that many seconds."""
    finished = asyncio.create_task(server.stopped.wait())
    hurried = asyncio.create_task(hurrying.wait())
    await asyncio.wait([finished, hurried], return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if (await asyncio.wait([finished], timeout=seconds))[0]:
        return
    cut = server.cancel()
    _log.warning("requests cut: they did not finish in time", requests=cut, shutdown_seconds=seconds)
    await asyncio.wait([finished], timeout=_CANCEL_SECONDS)
    finished.cancel()


class _NativeServer:
    """granian's HTTP server in threads of its own, which passes requests to this event loop."""

    def __init__(self, application: Any, settings: Settings, listener: socket.socket, connections: int) -> None:
        loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
        self._signal = _granian.WorkerSignal()
        self._signal.add_cb(lambda: loop.call_soon_threadsafe(self.stopped.set))
        native: Any = _granian.ASGIWorker  # its stub is older than the class
        worker = native(
            worker_id=1,
            sock=(None, _granian.SocketHolder(listener.detach(), False, BACKLOG)),  # type: ignore[call-arg]
            ipc=None,
            backpressure=connections,
            http_mode=str(HTTPModes.auto if settings.http2 else HTTPModes.http1),
            http1_opts=HTTP1Settings(header_read_timeout=int(settings.header_seconds * 1000), max_buffer_size=_BUFFER),
            http2_opts=HTTP2Settings(
                max_headers_size=_HEADERS,
                max_concurrent_streams=_STREAMS,
                keep_alive_interval=int(settings.header_seconds * 2000),
                keep_alive_timeout=int(settings.header_seconds) or 1,
            ),
            ssl_enabled=settings.tls_cert is not None,
            ssl_cert=settings.tls_cert and str(settings.tls_cert),
            ssl_key=settings.tls_key and str(settings.tls_key),
            ssl_protocol_min=str(SSLProtocols.tls13),
        )

        async def answer(watcher: Any) -> None:
            scope = watcher.scope
            scope.update(root_path="", state={})
            try:
                await application(scope, watcher.proto.receive, watcher.proto.send)
            except BaseException as error:  # noqa: BLE001 - granian logs it, and answers 500 if nothing was sent
                watcher.err(error)
            else:
                watcher.done()

        self._answer = answer.__code__
        scheduler = _futures._new_cbscheduler(loop, answer, impl_asyncio=True)  # type: ignore[no-untyped-call]
        worker.serve_mtr(scheduler, loop, self._signal)

    def stop(self) -> None:
        """Accept no more connections, and set `stopped` when the open ones have ended. Call it once."""
        self._signal.set()

    def cancel(self) -> int:
        """Cancel the requests in progress. Return how many there were."""
        requests = [each for each in asyncio.all_tasks() if getattr(each.get_coro(), "cr_code", None) is self._answer]
        for each in requests:
            each.cancel()
        return len(requests)
