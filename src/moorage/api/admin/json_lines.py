"""A long response as JSON lines: progress, and at the end the result, or the error that ended it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import structlog
from starlette.responses import Response, StreamingResponse

from moorage.analysis.replay import Progress
from moorage.errors import MoorageError, ServerFault

_log = structlog.get_logger()


def lines(told: AsyncIterator[dict[str, Any]]) -> Response:
    """The response. Its last line has `"end": true`, or is an `error` with `__type` and `message`, because the status
    is already sent."""
    return StreamingResponse(_written(told), media_type="application/x-ndjson")


async def progressing(
    steps: AsyncIterator[Any], running: asyncio.Semaphore, last: str
) -> AsyncIterator[dict[str, Any]]:
    """Yield the lines of a long computation, one of the `running` ones: its progress, and `last` its result."""
    async with running:
        async for each in steps:
            yield {"progress" if isinstance(each, Progress) else last: each}


async def _written(told: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    try:
        async for each in told:
            yield msgspec.json.encode(each) + b"\n"
        yield b'{"end":true}\n'
    except Exception as error:  # noqa: BLE001 - whatever it is, the client must not take it for a whole answer
        if not isinstance(error, MoorageError):
            _log.error("administration call failed", exc_info=error)
            error = ServerFault()
        yield msgspec.json.encode({"error": {"__type": error.code, "message": error.message}}) + b"\n"
