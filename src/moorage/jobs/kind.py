"""Kinds of jobs: their payload, how they run, how often they are tried, and how often they are due."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection

P = TypeVar("P", bound=msgspec.Struct)

Queue: TypeAlias = Literal["work", "maintenance"]
"""Each queue has places of its own in a runner. Jobs of `maintenance` run one after the other, so that they hold up
neither requests nor the jobs of `work`."""


class NoPayload(msgspec.Struct, frozen=True):
    """The payload of kinds that do the same thing each time."""


class JobCanceled(Exception):
    """The attempt has to end: a person canceled the job, or the runner stops."""


class JobFailed(Exception):
    """The job failed, and another attempt would not help: it is dead at once. The message tells a person why."""


class Attempt:
    """One attempt at a job, as its handler sees it. A job may be attempted twice, so handlers must be idempotent."""

    def __init__(self, job: int, number: int, stored: str | None = None) -> None:
        self.job: Final = job
        """Id of the job."""
        self.number: Final = number
        """1 for the first attempt."""
        self.stored = stored
        """What was reported last, perhaps by an earlier attempt, as JSON."""
        self.progress: Any = None if stored is None else msgspec.json.decode(stored)
        self.is_canceled = False
        self._is_over = False

    def report(self, progress: Any) -> None:
        """Store how far the job is, in plain values that become JSON. Raises JobCanceled if the attempt has to end.

        Call it between steps, where the job may end and be attempted again later.
        """
        self.stored, self.progress = msgspec.json.encode(progress).decode(), progress
        if self._is_over:
            raise JobCanceled

    def cancel(self) -> None:
        """Let the next `report` raise, because a person canceled the job."""
        self.is_canceled = self._is_over = True

    def stop(self) -> None:
        """Let the next `report` raise, because the runner stops: another one goes on with the job."""
        self._is_over = True


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often a kind is due. Its payload has a default for every member."""

    every: float
    """Seconds between two jobs."""
    first_after: float = 0.0
    """Seconds from the first start of the deployment to the first job."""
    only_if: Callable[[Connection], bool] | None = None
    """Whether there is anything to do; asked each time that a runner looks for jobs, so it must be quick."""


@dataclass(frozen=True)
class Kind(Generic[P]):
    """A kind of job."""

    name: str
    """Noun and verb, such as `uploads.expire`; stored with each job."""
    payload: type[P]
    run: Callable[[Attempt, P], Awaitable[None]]
    attempts: int = 10
    """Attempts before the job is dead. One whose runner died counts."""
    schedule: Schedule | None = None
    queue: Queue = "work"

    async def handle(self, attempt: Attempt, payload: str) -> None:
        """Run the job with its payload as it is stored (JSON). Raises JobFailed if this version cannot read it."""
        try:
            value = msgspec.json.decode(payload, type=self.payload)
        except msgspec.DecodeError as error:
            raise JobFailed(f"its payload cannot be read: {error}") from error
        await self.run(attempt, value)


def backoff(attempt: int) -> float:
    """Return the seconds until the next attempt, without jitter: 2, 4, 8 and so on, an hour at most."""
    return float(min(3600, 2 ** min(attempt, 12)))
