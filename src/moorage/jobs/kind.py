"""What a kind of job is: its payload, how it runs, how often it is tried, and how often it is due."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

P = TypeVar("P", bound=msgspec.Struct)


class NoPayload(msgspec.Struct, frozen=True):
    """Of kinds that are the same each time."""


class JobCancelled(Exception):
    """The attempt is to end."""


class JobFailed(Exception):
    """Trying again would not help: the job is dead at once. The message tells a person why."""


class Attempt:
    """One run of a job, as its handler sees it. A handler may run twice for one job, so it must be idempotent."""

    def __init__(self, job: int, number: int, progress: Any = None) -> None:
        self.job: Final = job
        self.number: Final = number
        """1 for the first."""
        self.progress = progress
        """What was reported last, perhaps by an earlier attempt."""
        self.is_cancelled = False
        self._is_ended = False

    def report(self, progress: Any) -> None:
        """Say how far the job is, in plain values that become JSON. Raises JobCancelled when it is to end.

        Call it between steps, where the job may end, and begin again at another time.
        """
        self.progress = progress
        if self._is_ended:
            raise JobCancelled

    def cancel(self) -> None:
        """Let the next `report` raise: somebody asked for the end of the job."""
        self.is_cancelled = self._is_ended = True

    def stop(self) -> None:
        """Let the next `report` raise: the runner ends, and the job goes on elsewhere."""
        self._is_ended = True


@dataclass(frozen=True)
class Kind(Generic[P]):
    """A kind of job."""

    name: str
    """Noun and verb, as `uploads.expire`; stored with each job."""
    payload: type[P]
    run: Callable[[Attempt, P], Awaitable[None]]
    attempts: int = 10
    """So often it is tried before it is dead. An attempt whose runner died counts."""
    every: float | None = None
    """Seconds after which it is due again, for kinds with a schedule; their payload has a default for all members."""

    async def handle(self, attempt: Attempt, payload: str) -> None:
        """Run it with a payload as it is stored (JSON). JobFailed when this version cannot read it."""
        try:
            value = msgspec.json.decode(payload, type=self.payload)
        except msgspec.DecodeError as error:
            raise JobFailed(f"its payload cannot be read: {error}") from error
        await self.run(attempt, value)


def backoff(attempt: int) -> float:
    """Seconds until the next attempt, without jitter: 2, 4, 8 …, an hour at most."""
    return float(min(3600, 2 ** min(attempt, 12)))
