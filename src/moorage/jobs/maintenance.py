"""The kinds of jobs that keep a deployment tidy: what has expired is deleted, and events are delivered.

Each calls one rule of `registry`, `identity`, `audit` or `events`, which yields how many rows or files every step
changed. Rules may run in two processes at a time, so a job that is taken over does no harm.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

from moorage.audit.retention import AuditMaintenance
from moorage.events.delivery import Delivery
from moorage.identity.maintenance import IdentityMaintenance
from moorage.jobs.kind import Attempt, Kind, NoPayload, Queue, Schedule
from moorage.jobs.retention import JobMaintenance
from moorage.registry.maintenance import RegistryMaintenance
from moorage.settings import Settings

DELIVER_SECONDS: Final = 2.0
"""How long an event waits for its delivery, at most."""
HOUR: Final = 3600.0
ATTEMPTS: Final = 5
"""Half a minute of attempts; the schedule brings another job."""

Rule: TypeAlias = Callable[[], AsyncIterator[int]]


def maintenance_kinds(
    registry: RegistryMaintenance,
    identity: IdentityMaintenance,
    audit: AuditMaintenance,
    delivery: Delivery,
    jobs: JobMaintenance,
    settings: Settings,
) -> list[Kind[Any]]:
    """Return the kinds, in the order in which they find most to delete if they run one after the other."""
    often = settings.sweep_interval_seconds
    # Unreferenced layers and blobs are looked for twice in a period of grace (`detach_layers` relies on it).
    seldom = max(often, settings.blob_grace_seconds / 2)
    deliver = Schedule(DELIVER_SECONDS, only_if=delivery.is_waiting)
    return [
        _kind("events.deliver", delivery.deliver, deliver, queue="work"),
        _kind("uploads.expire", registry.expire_uploads, Schedule(often, often)),
        _kind("trash.empty", registry.empty_trash, Schedule(often, often)),
        _kind("credentials.delete", identity.delete_credentials, Schedule(often, often)),
        _kind("events.delete", delivery.delete_expired, Schedule(often, often)),
        _kind("trash.trim", registry.trim_trash, Schedule(seldom, often)),
        _kind("histories.trim", registry.trim_histories, Schedule(seldom, often)),
        _kind("documents.mark", registry.mark_documents, Schedule(seldom, often)),
        _kind("layers.detach", registry.detach_layers, Schedule(seldom, often)),
        _kind("blobs.mark", registry.mark_blobs, Schedule(seldom, often)),
        _kind("documents.delete", registry.delete_documents, Schedule(often, often)),
        _kind("blobs.free", registry.free_blobs, Schedule(often, often)),
        _kind("leftovers.delete", registry.delete_leftovers, Schedule(seldom, often)),
        _kind("audit.delete", audit.delete_records, Schedule(HOUR, often)),
        _kind("jobs.delete", jobs.delete_finished, Schedule(HOUR, often)),
    ]


def _kind(name: str, rule: Rule, schedule: Schedule, *, queue: Queue = "maintenance") -> Kind[NoPayload]:
    return Kind(name, NoPayload, _counting(rule), ATTEMPTS, schedule, queue)


def _counting(rule: Rule) -> Callable[[Attempt, NoPayload], Awaitable[None]]:
    """Return a handler that runs the rule, and reports after every step how much has been changed."""

    async def run(attempt: Attempt, _: NoPayload) -> None:
        changed = 0
        async for number in rule():
            changed += number
            attempt.report({"changed": changed})

    return run
