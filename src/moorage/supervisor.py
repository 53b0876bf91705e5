"""Keeps worker processes running: forks them, replaces those that end, and ends them.

The supervisor has only one thread. A child that is forked while another thread holds a lock (of Python or OpenSSL)
inherits that lock locked, and hangs when it needs it. Signals reach the supervisor's loop through a pipe, so that none
is lost: SIGTERM and SIGINT end the server, a second one ends it at once, SIGHUP replaces the workers.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn, TypeAlias

import structlog

Ready: TypeAlias = Callable[[], None]

RETIRE: Final = signal.SIGUSR1
"""The signal for a worker that has been replaced: it accepts no new connections, and has unlimited time to finish its
requests. After SIGTERM it has `shutdown_seconds`."""

_END: Final = (signal.SIGTERM, signal.SIGINT)
_SIGNALS: Final = (*_END, signal.SIGHUP, signal.SIGCHLD)
_FLUSH_SECONDS: Final = 5.0
"""Seconds that a worker has after its requests have ended, to write the audit records that wait."""
_STEADY_SECONDS: Final = 10.0
"""A worker that lived this many seconds did not end because of how it was started."""
_LONGEST_DELAY: Final = 30.0
_LONGEST_DELAY_OF_SERVING: Final = 1.0
"""Seconds before a worker that served requests is replaced: it can be started, and a single worker has no substitute.
"""
_SET_PDEATHSIG: Final = 1
"""Linux, prctl(2): PR_SET_PDEATHSIG."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int
    pipe: socket.socket
    """It sends a byte when it is ready, and reads end of file when the supervisor is gone."""
    born: float
    ready: bool = False
    retired: bool = False


class Supervisor:
    """Runs `work(number, ready, pipe)` in `workers` processes until it is signaled to end.

    Workers are numbered from 0. `work` calls `ready` once it serves requests. What it returns is the exit status of its
    process. The pipe is at end of file as soon as the supervisor is gone.

    `on_ready` is called once, when the first worker is ready; the others start then. `on_ending` is called when the
    server begins to end, and `on_end` with the id of each process that has ended. `check` is called before workers are
    replaced: an exception of the class `refusal` is logged, and the old workers stay.
    """

    def __init__(
        self,
        work: Callable[[int, Ready, socket.socket], int],
        workers: int,
        shutdown_seconds: float,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_ending: Callable[[], None] = lambda: None,
        check: Callable[[], None] = lambda: None,
        refusal: type[Exception] = OSError,
        on_end: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self._work = work
        self._number = workers
        self._shutdown_seconds = shutdown_seconds
        self._on_ready = on_ready
        self._on_ending = on_ending
        self._check = check
        self._refusal = refusal
        self._on_end = on_end
        self._workers: dict[int, _Worker] = {}
        self._failures = [0] * workers
        """How often in a row the worker of that number ended by itself."""
        self._due: dict[int, float] = {}
        """When the worker of that number is started again."""
        self._has_served = False
        self._ending = False
        self._kill_at: float | None = None
        """When the remaining workers are killed, once the server ends."""
        self._status = 0

    def run(self) -> int:
        """Run until the end, and return the exit status: 1 if no worker could be started, 0 after a signal."""
        with selectors.DefaultSelector() as self._selector, self._signals():
            self._start(0)  # the others start when it is ready, so that a problem with the settings is reported once
            while self._workers or self._due:
                self._wait()
        return self._status

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Write each signal to a pipe that the loop reads."""
        reading, writing = socket.socketpair()
        with reading, writing:
            reading.setblocking(False)
            writing.setblocking(False)
            self._signal_pipes = reading, writing
            self._selector.register(reading, selectors.EVENT_READ)
            before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
            handlers = {each: signal.signal(each, lambda *_: None) for each in _SIGNALS}
            try:
                yield
            finally:
                for each, handler in handlers.items():
                    signal.signal(each, handler)
                signal.set_wakeup_fd(before)

    def _wait(self) -> None:
        """Wait for a signal, a message of a worker, or the time of the next action, and act on it."""
        now = time.monotonic()
        times = [*self._due.values(), *([] if self._kill_at is None else [self._kill_at])]
        for key, _ in self._selector.select(max(0.0, min(times) - now) if times else None):
            if key.data is None:
                self._hear(self._signal_pipes[0].recv(4096))
            else:
                self._listen_to(key.data)
        self._reap()
        now = time.monotonic()
        for number in [each for each, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start(number)
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            self._send(signal.SIGKILL, self._workers.values())

    def _hear(self, signals: bytes) -> None:
        for number in signals:
            if number in _END:
                self._end()
            elif number == signal.SIGHUP and not self._ending:
                self._replace()

    def _end(self, status: int = 0) -> None:
        if self._ending:
            self._kill_at = 0.0  # signaled a second time
            return
        self._ending = True
        self._status = status
        self._on_ending()
        self._due.clear()
        self._kill_at = time.monotonic() + self._shutdown_seconds + _FLUSH_SECONDS
        self._send(signal.SIGTERM, self._workers.values())

    def _replace(self) -> None:
        """Start a second generation; a worker of the first is retired when the one of its number is ready."""
        try:
            self._check()
        except self._refusal as error:
            _report("workers not replaced", reason=str(error))
            return
        # At most two generations live at a time: clients that stall must not make them accumulate.
        self._send(signal.SIGTERM, [each for each in self._workers.values() if each.retired or not each.ready])
        for each in self._workers.values():
            each.retired = each.retired or not each.ready
        self._due.clear()
        for number in range(self._number if self._has_served else 1):
            self._start(number)

    def _listen_to(self, worker: _Worker) -> None:
        try:
            said = worker.pipe.recv(1)
        except OSError:
            said = b""
        self._selector.unregister(worker.pipe)  # the pipe has nothing more to read but its end
        if not said or worker.retired or self._ending:
            return
        worker.ready = True
        predecessors = [
            each
            for each in self._workers.values()
            if each.number == worker.number and each is not worker and not each.retired
        ]
        for each in predecessors:
            each.retired = True
        self._send(RETIRE, predecessors)
        if not self._has_served:
            self._has_served = True
            with contextlib.suppress(OSError):  # nothing reads standard output any more; that is no reason to end
                self._on_ready()
            for number in range(1, self._number):
                self._start(number)

    def _reap(self) -> None:
        while self._workers:
            try:
                pid, status = os.waitpid(
                    -1, os.WNOHANG
                )  # any child: as the first process of a container, the supervisor inherits orphans
            except ChildProcessError:
                return
            if not pid:
                return
            worker = self._workers.pop(pid, None)
            if worker is None:
                continue
            with contextlib.suppress(KeyError):
                self._selector.unregister(worker.pipe)
            worker.pipe.close()
            self._on_end(pid)
            if not self._ending and not worker.retired:
                self._lost(worker, os.waitstatus_to_exitcode(status))

    def _lost(self, worker: _Worker, status: int) -> None:
        """Replace a worker that ended by itself: at once the first time, later and later if it happens again."""
        if not self._has_served and status > 0:  # it logged why
            self._end(1)
            return
        others = [each for each in self._workers.values() if each.number == worker.number and not each.retired]
        lived = time.monotonic() - worker.born
        failures = 0 if worker.ready and lived >= _STEADY_SECONDS else self._failures[worker.number]
        self._failures[worker.number] = failures + 1
        longest = _LONGEST_DELAY_OF_SERVING if worker.ready else _LONGEST_DELAY
        delay = min(longest, 0.25 * 2**failures) if failures else 0.0
        _report(
            "worker ended",
            worker=worker.number + 1,
            pid=worker.pid,
            by=signal.Signals(-status).name if status < 0 else f"status {status}",
            lived_seconds=round(lived, 1),
            next_start_seconds=None if others else delay,
        )
        if not others:  # otherwise it was to replace one that still serves
            self._due[worker.number] = time.monotonic() + delay

    def _start(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {*_SIGNALS, RETIRE})
        sys.stdout.flush()
        sys.stderr.flush()
        supervisor = os.getpid()
        pid = os.fork()
        if not pid:
            self._be_worker(number, supervisor, ours, theirs, blocked)
        worker = self._workers[pid] = _Worker(number, pid, ours, time.monotonic())
        theirs.close()
        self._selector.register(ours, selectors.EVENT_READ, worker)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _be_worker(
        self,
        number: int,
        supervisor: int,
        ours: socket.socket,
        theirs: socket.socket,
        blocked: set[int | signal.Signals],
    ) -> NoReturn:
        """In the child: close what belongs to the supervisor, run the worker, and exit."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the supervisor handles it
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (*self._signal_pipes, ours, *(worker.pipe for worker in self._workers.values())):
                each.close()
            self._selector.close()
            _end_with(supervisor)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            status = self._work(number, lambda: theirs.sendall(b"r"), theirs)
        except BaseException:  # noqa: BLE001 - whatever it is, it must not run on in the supervisor's code
            _log.exception("worker failed")
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    @staticmethod
    def _send(number: signal.Signals, workers: Iterable[_Worker]) -> None:
        for each in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, number)


def _end_with(supervisor: int) -> None:
    """Have this process killed when its parent ends, so that it releases the port. On Linux only; elsewhere the pipe
    tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:  # the parent ended before
        os._exit(1)


def _report(event: str, **values: object) -> None:
    with contextlib.suppress(OSError):  # the reader of the log may be gone
        _log.error(event, **values)
