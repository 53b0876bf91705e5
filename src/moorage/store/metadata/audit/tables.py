"""The tables of the audit record: decisions, events and the values that their rows share, with a class for each row.

On SQLite they are in a file of their own, so that writing them neither waits for pushes nor counts as a change of the
metadata (`changed`).
"""

import msgspec
from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

from moorage.store.metadata.tables import metadata

audit_metadata = MetaData(naming_convention=metadata.naming_convention)

HASH = 32  # hex digits of a shared value's hash

shared_values = Table(  # callers, condition-key values and policy sets: JSON, stored once by the hash of its text
    "audit_parts",
    audit_metadata,
    Column("hash", String(HASH), primary_key=True),
    Column("text", Text, nullable=False),
    Column("seen", Integer, nullable=False),  # the last day (since the epoch) on which a row referred to it
    Index("ix_audit_parts_seen", "seen"),
)

decisions = Table(
    "decisions",
    audit_metadata,
    Column("id", String(36), primary_key=True),  # of a denial: random, returned to the client
    Column("at", Float, nullable=False),  # when it was made; of several equal ones, the first
    Column("last", Float, nullable=False),  # when the last of several equal ones was made
    # How many equal decisions the row counts: allowed ones of an hour, denied ones of a minute.
    Column("count", Integer, nullable=False),
    Column("account", String(12), nullable=False),  # of the resource
    Column("region", String(25), nullable=False),
    Column("principal", Text, nullable=False),  # ARN, or "anonymous"
    Column("action", String(128), nullable=False),
    Column("resource", Text, nullable=False),  # ARN or "*"
    Column("allowed", Boolean, nullable=False),
    Column("rule", String(64), nullable=False),  # stable id of the evaluation step that decided
    Column("message", Text),  # of a denial: AWS's message
    Column("caller", String(HASH), nullable=False),  # shared value: the whole principal and its credential
    Column("context", String(HASH), nullable=False),  # shared value: condition keys and values without the clock's
    Column("policies", String(HASH), nullable=False),  # shared value: set -> list of {name, hash, kind}
    Index("ix_decisions_at", "at"),
    Index("ix_decisions_account", "account", "at"),
    Index("ix_decisions_resource", "resource", "at"),
    Index("ix_decisions_principal", "principal", "at"),
)

events = Table(  # events as CloudTrail defines them: a request and its outcome, one row for each account concerned
    "events",
    audit_metadata,
    Column("id", String(36), primary_key=True),  # the request's id, if one was returned to the client
    Column("recipient", String(12), primary_key=True),  # the account whose record this is
    Column("at", Float, nullable=False),  # when it was answered; of several equal ones, the first
    Column("last", Float, nullable=False),
    Column("count", Integer, nullable=False),  # how many equal reads or failures the row counts
    Column("source", String(64), nullable=False),  # ecr.amazonaws.com, …
    Column("name", String(128), nullable=False),  # the API operation
    Column("region", String(25), nullable=False),
    Column("principal", Text, nullable=False),  # ARN, or "anonymous"
    Column("resource", Text, nullable=False),  # ARN or "*"
    Column("source_ip", String(64), nullable=False),
    Column("verdict", String(7), nullable=False),  # allowed, denied, failed, omitted
    Column("error_code", String(128)),
    Column("caller", String(HASH), nullable=False),  # shared value, as in `decisions`
    Column("detail", Text, nullable=False),  # JSON: everything that nobody searches by
    Index("ix_events_at", "at"),
    Index("ix_events_recipient", "recipient", "at"),
)


class SharedValueRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `shared_values`."""

    hash: str
    text: str
    seen: int


class DecisionRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `decisions`."""

    id: str
    at: float
    last: float
    count: int
    account: str
    region: str
    principal: str
    action: str
    resource: str
    allowed: bool
    rule: str
    message: str | None
    caller: str
    context: str
    policies: str


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `events`."""

    id: str
    recipient: str
    at: float
    last: float
    count: int
    source: str
    name: str
    region: str
    principal: str
    resource: str
    source_ip: str
    verdict: str
    error_code: str | None
    caller: str
    detail: str
