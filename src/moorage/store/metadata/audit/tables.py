"""The tables of the audit record: decisions, events, and the parts that many of them share; rows to be written.

On SQLite they are in a file of their own, so that writing them neither waits for pushes nor shows in the metadata's
`changed`.
"""

import msgspec
from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

from moorage.store.metadata.tables import metadata

audit_metadata = MetaData(naming_convention=metadata.naming_convention)

PART = 32  # hex digits of a part's hash

audit_parts = Table(  # callers, condition-key values and policy sets: JSON, kept once by the hash of its text
    "audit_parts",
    audit_metadata,
    Column("hash", String(PART), primary_key=True),
    Column("text", Text, nullable=False),
    Column("seen", Integer, nullable=False),  # the last day (since the epoch) on which something referred to it
    Index("ix_audit_parts_seen", "seen"),
)

decisions = Table(
    "decisions",
    audit_metadata,
    Column("id", String(36), primary_key=True),  # of a denial: random, told to the client
    Column("at", Float, nullable=False),  # when it was made; of several equal ones, the first
    Column("last", Float, nullable=False),  # the last of the equal ones
    Column(
        "count", Integer, nullable=False
    ),  # how many equal decisions (allowed: of an hour, denied: of a minute) this row stands for
    Column("account", String(12), nullable=False),  # of the resource
    Column("region", String(25), nullable=False),
    Column("principal", Text, nullable=False),  # ARN, or "anonymous"
    Column("action", String(128), nullable=False),
    Column("resource", Text, nullable=False),  # ARN or "*"
    Column("allowed", Boolean, nullable=False),
    Column("rule", String(64), nullable=False),  # stable id of the step that decided
    Column("message", Text),  # AWS's sentence, when denied
    Column("caller", String(PART), nullable=False),  # part: the whole principal, its credential
    Column("context", String(PART), nullable=False),  # part: condition keys and their values, without the clock's
    Column("policies", String(PART), nullable=False),  # part: set -> list of {name, hash, kind}
    Index("ix_decisions_at", "at"),
    Index("ix_decisions_account", "account", "at"),
    Index("ix_decisions_resource", "resource", "at"),
    Index("ix_decisions_principal", "principal", "at"),
)

events = Table(  # what CloudTrail calls an event: a request and its outcome, once for each account concerned
    "events",
    audit_metadata,
    Column("id", String(36), primary_key=True),  # the request's id, where the client was told one
    Column("recipient", String(12), primary_key=True),  # the account whose record this is
    Column("at", Float, nullable=False),  # when it was answered; of several equal ones, the first
    Column("last", Float, nullable=False),
    Column("count", Integer, nullable=False),  # how many equal reads or failures this row stands for
    Column("source", String(64), nullable=False),  # ecr.amazonaws.com, …
    Column("name", String(128), nullable=False),  # the API operation
    Column("region", String(25), nullable=False),
    Column("principal", Text, nullable=False),  # ARN, or "anonymous"
    Column("resource", Text, nullable=False),  # ARN or "*"
    Column("source_ip", String(64), nullable=False),
    Column("verdict", String(7), nullable=False),  # allowed, denied, failed, omitted
    Column("error_code", String(128)),
    Column("caller", String(PART), nullable=False),  # part, as in `decisions`
    Column("detail", Text, nullable=False),  # JSON: everything that is only shown
    Index("ix_events_at", "at"),
    Index("ix_events_recipient", "recipient", "at"),
)


class PartRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `audit_parts`."""

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
