"""Readiness: whether the database and the disk of the blobs can be written now."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection

from moorage.errors import InsufficientStorage
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.repositories import account_settings as setting_rows
from moorage.store.reserve import require_room

_FRESH_SECONDS: Final = 1.0
"""How long a result is returned again. The request needs no signature, and a probe writes."""
_PATIENCE_SECONDS: Final = 3.0
"""A probe that takes longer has failed. No other one starts while it runs."""

_log = structlog.get_logger()


class Readiness:
    """Probes by doing what requests do: it commits a transaction in the metadata and writes a file beside the blobs.

    The row that it writes belongs to no account.
    """

    def __init__(self, db: Database, directory: Path) -> None:
        self._db = db
        self._directory = directory
        self._probes: dict[str, asyncio.Task[str]] = {}
        self._found: dict[str, str] = {}
        self._at = 0.0
        self._turn = asyncio.Lock()

    async def check(self) -> Mapping[str, str]:
        """Return `ok`, `full` or `failed` for `metadata`, `blobs` and `space`. Changes are logged with the reason.

        With `full` space, pushes are refused, but pulls and deletes are not.
        """
        async with self._turn:
            if time.monotonic() - self._at >= _FRESH_SECONDS:
                await self._probe()
                self._at = time.monotonic()
        return self._found

    async def _probe(self) -> None:
        probes: dict[str, Callable[[], Awaitable[object]]] = {
            "metadata": self._write_row,
            "blobs": lambda: asyncio.to_thread(self._write_file),
            "space": lambda: asyncio.to_thread(require_room, self._directory),
        }
        for name, probe in probes.items():
            if name not in self._probes:
                self._probes[name] = asyncio.create_task(_outcome(probe))
        await asyncio.wait(self._probes.values(), timeout=_PATIENCE_SECONDS)
        for name, task in list(self._probes.items()):
            found, reason = "failed", f"no answer in {_PATIENCE_SECONDS:.0f} s"
            if task.done():
                del self._probes[name]
                found, _, reason = task.result().partition(": ")
            if found != self._found.get(name, "ok"):
                (_log.info if found == "ok" else _log.error)("readiness changed", what=name, state=found, reason=reason)
            self._found[name] = found

    async def _write_row(self) -> None:
        def work(conn: Connection) -> None:
            setting_rows.probe(conn, str(time.time()))

        await self._db.transaction(work)

    def _write_file(self) -> None:
        with tempfile.TemporaryFile(dir=self._directory) as file:  # unnamed, so a crash leaves nothing
            file.write(b"ready")
            file.flush()


async def _outcome(probe: Callable[[], Awaitable[object]]) -> str:
    try:
        await probe()
    except InsufficientStorage as error:
        return f"full: {error}"
    except Exception as error:  # noqa: BLE001 - any error means that the registry is not ready
        return f"failed: {error!r}"
    return "ok"
