"""A background job as the API returns it and the command line shows it."""

from typing import Any, Final

import msgspec

from moorage.store.metadata.jobs.state import State

__all__ = ["MAX_PAGE", "Job", "Page", "State"]

MAX_PAGE: Final = 100
"""Jobs on one page."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job. Times are seconds since the epoch."""

    id: int
    kind: str
    key: str | None
    """A kind has at most one unfinished job with that key; `scheduled`: its schedule queued the job."""
    payload: Any
    state: State
    priority: int
    created_at: float
    run_at: float
    """While it is queued: it is not started before."""
    started_at: float | None
    """When the last attempt was started."""
    ended_at: float | None
    attempts: int
    """Attempts that were started."""
    cancel_requested: bool
    progress: Any
    """What the handler reported last."""
    error: str | None
    """Why the last attempt failed."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some jobs, the newest first."""

    jobs: list[Job]
    next: str | None
    """`before` of the next page, as text; None on the last one."""
