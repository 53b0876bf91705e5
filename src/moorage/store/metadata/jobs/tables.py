"""The tables of background jobs. Times are seconds since the epoch (float)."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text, text

from moorage.store.metadata.database.schema import BIG_ID, index_of_some, metadata

_WAITING = text("state = 'queued'")
_RUNNING = text("state = 'running'")
_UNFINISHED = text("state IN ('queued', 'running')")

jobs = Table(
    "jobs",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("key", String(512)),  # at most one unfinished job of a kind has it
    Column("payload", Text, nullable=False),  # JSON
    Column("state", String(16), nullable=False),  # see `state.State`
    Column("priority", Integer, nullable=False),  # higher first
    Column("created_at", Float, nullable=False),
    Column("run_at", Float, nullable=False),  # while queued: not started before
    Column("attempts", Integer, nullable=False),  # started so far
    Column("started_at", Float),  # the last attempt
    Column("leased_by", String(64)),  # the runner that holds it
    Column("leased_until", Float),  # by the database's clock
    Column("cancel", Boolean, nullable=False),  # a person asked for its end
    Column("progress", Text),  # JSON
    Column("error", Text),  # of the last attempt
    Column("ended_at", Float),
)
index_of_some("uq_jobs_key", _UNFINISHED, jobs.c.kind, jobs.c.key, unique=True)
index_of_some("ix_jobs_waiting", _WAITING, jobs.c.kind, jobs.c.priority, jobs.c.run_at)
index_of_some("ix_jobs_leased", _RUNNING, jobs.c.leased_until)
Index("ix_jobs_ended", jobs.c.kind, jobs.c.state, jobs.c.ended_at)

schedules = Table(
    "schedules",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("next_at", Float, nullable=False),
)
