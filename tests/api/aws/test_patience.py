"""Bodies have a time to arrive by; what is in time is left alone."""

import asyncio

import pytest

from moorage.api.aws.patience import Patience


async def test_what_takes_too_long_ends_in_a_timeout_and_the_task_goes_on() -> None:
    patience = Patience(0.05)
    with pytest.raises(TimeoutError):
        await patience.limit(asyncio.sleep(60))
    assert await patience.limit(asyncio.sleep(0, "in time")) == "in time"
    await asyncio.sleep(0.1)  # nothing is left to cancel this task later


async def test_each_has_its_own_time() -> None:
    patience = Patience(0.2)

    async def wait(before: float, seconds: float) -> str:
        await asyncio.sleep(before)
        try:
            return await patience.limit(asyncio.sleep(seconds, "done"))
        except TimeoutError:
            return "too slow"

    outcomes = list(await asyncio.gather(wait(0, 60), wait(0.15, 0.1), wait(0.1, 60), wait(0, 0)))
    assert outcomes == ["too slow", "done", "too slow", "done"]


async def test_a_cancelled_request_is_cancelled() -> None:
    patience = Patience(60)
    task = asyncio.create_task(patience.limit(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_raises_raises() -> None:
    async def fail() -> None:
        raise ValueError("no body")

    with pytest.raises(ValueError, match="no body"):
        await Patience(60).limit(fail())
