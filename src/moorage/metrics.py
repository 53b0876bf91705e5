"""The metrics at /metrics, for Prometheus. No label contains an account, a repository or a principal.

With several workers, the server sets PROMETHEUS_MULTIPROC_DIR before this module is imported, and `exposition` adds the
figures of the workers together.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from moorage import cache

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_registry = CollectorRegistry()

REQUESTS = Counter("moorage_requests_total", "Requests", ["api", "method", "status"], registry=_registry)
SECONDS = Histogram(
    "moorage_request_seconds",
    "Time from the headers of a request to the end of its response",
    ["api"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
    registry=_registry,
)
RECEIVED = Counter("moorage_received_bytes_total", "Bytes of request bodies", ["api"], registry=_registry)
SENT = Counter("moorage_sent_bytes_total", "Bytes of response bodies", ["api"], registry=_registry)
DECISIONS = Counter("moorage_decisions_total", "Decisions of the policy engine", ["verdict"], registry=_registry)
AUDIT_DROPPED = Counter(
    "moorage_audit_dropped_total",
    "Decisions and events without a row of their own: `write`, lost; `other`, lost or only counted",
    ["kind"],
    registry=_registry,
)
for _kind in ("write", "other"):
    AUDIT_DROPPED.labels(_kind)  # shown as 0 before the first is lost
AUDIT_DELAYED = Counter(
    "moorage_audit_delayed_total",
    "Writes that waited for room in the audit record before they started",
    registry=_registry,
)
AUDIT_WAITING = Gauge(
    "moorage_audit_waiting_bytes",
    "Memory of decisions and events that wait to be written",
    ["kind"],
    registry=_registry,
    multiprocess_mode="livesum",
)
CONNECTIONS_CLOSED = Counter(
    "moorage_connections_closed_total",
    "Connections closed because one address had too many, or because they were idle",
    registry=_registry,
)
STORED = Gauge(
    "moorage_stored", "What the store holds", ["what"], registry=_registry, multiprocess_mode="mostrecent"
)  # repositories, images, blobs, blob_bytes
JOBS = Gauge(
    "moorage_jobs",
    "Background jobs that are listed",
    ["kind", "state"],
    registry=_registry,
    multiprocess_mode="mostrecent",
)
JOBS_WAITING_SECONDS = Gauge(
    "moorage_jobs_waiting_seconds",
    "How long the oldest background job that could run has waited",
    registry=_registry,
    multiprocess_mode="mostrecent",
)
JOB_SECONDS = Histogram(
    "moorage_job_seconds",
    "Duration of attempts at background jobs",
    ["kind"],
    buckets=(0.01, 0.1, 1, 10, 60, 600, 3600),
    registry=_registry,
)
JOB_ATTEMPTS = Counter(
    "moorage_job_attempts_total",
    "Attempts at background jobs that ended: done, failed (tried again later), dead or canceled",
    ["kind", "outcome"],
    registry=_registry,
)
EVENTS_WAITING = Gauge(
    "moorage_events_waiting",
    "Events that wait in the outbox to be delivered",
    registry=_registry,
    multiprocess_mode="mostrecent",
)
CACHE_BYTES = Gauge(
    "moorage_cache_bytes", "Bytes that a cache holds", ["cache"], registry=_registry, multiprocess_mode="livesum"
)
CACHE_ENTRIES = Gauge(
    "moorage_cache_entries", "Entries that a cache holds", ["cache"], registry=_registry, multiprocess_mode="livesum"
)


def measure_caches() -> None:
    """Update the sizes of this worker's caches. Those of other workers are as old as their own last update."""
    for size in cache.sizes():
        CACHE_BYTES.labels(size.name).set(size.bytes)
        CACHE_ENTRIES.labels(size.name).set(size.entries)


def audit_dropped(kind: str, number: int) -> None:
    """Count records that have no row of their own."""
    AUDIT_DROPPED.labels(kind).inc(number)


def exposition() -> bytes:
    """Return every figure of all workers in the text format of Prometheus."""
    measure_caches()
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(_registry)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # prometheus-client has no type for it
    return generate_latest(together)
