"""Answers that take long, as JSON lines: progress, then the result, or the error that ended the answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec
import structlog
from starlette.responses import Response, StreamingResponse

from moorage.analysis.progress import AnswerLine, LineError, Progress
from moorage.errors import MoorageError, ServerFault

R = TypeVar("R")

_log = structlog.get_logger()


def lines(answer: AsyncIterator[AnswerLine]) -> Response:
    """Return the response. Its last line has `"end": true`, or is an `error`: the status has been sent by then."""
    return StreamingResponse(_encoded(answer), media_type="application/x-ndjson")


async def progressing(
    steps: AsyncIterator[Progress | R], running: asyncio.Semaphore, result: Callable[[R], AnswerLine]
) -> AsyncIterator[AnswerLine]:
    """Yield a line for each step of a computation while holding `running`. `result` makes the line of its result."""
    async with running:
        async for each in steps:
            yield AnswerLine(progress=each) if isinstance(each, Progress) else result(each)


async def _encoded(answer: AsyncIterator[AnswerLine]) -> AsyncIterator[bytes]:
    try:
        async for each in answer:
            yield msgspec.json.encode(each) + b"\n"
        yield msgspec.json.encode(AnswerLine(end=True)) + b"\n"
    except Exception as error:  # noqa: BLE001 - otherwise the client takes the answer for complete
        if not isinstance(error, MoorageError):
            _log.error("administration call failed", exc_info=error)
            error = ServerFault()
        yield msgspec.json.encode(AnswerLine(error=LineError(type=error.code, message=error.message))) + b"\n"
