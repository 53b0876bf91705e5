"""What the operations of Moorage's own API may use."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.organization import OrganizationAdministration
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.analysis.explainer import Explainer
from moorage.analysis.policy_generator import Generator
from moorage.analysis.reachability import Reachability
from moorage.analysis.replay import Replays
from moorage.api.admin.one_at_a_time import Turns
from moorage.api.aws.sigv4 import Verifier
from moorage.api.injected_faults import Faults
from moorage.api.request_source import RequestSources
from moorage.audit.reader import AuditReader
from moorage.audit.recorder import Recorder
from moorage.clock import Clock
from moorage.declarative.service import DeclarativeFiles
from moorage.identity.identity import Identity
from moorage.jobs.queue import JobQueue
from moorage.registry.readiness import Readiness
from moorage.registry.registry import Registry
from moorage.settings import Settings

AT_ONCE: Final = 2
"""Replays, and as many generated policies, that one worker computes at a time."""


def _places() -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminServices:
    """Everything an operation may use. `reset` deletes all data; `measure` counts what is stored."""

    registry: Registry
    identity: Identity
    declarative_files: DeclarativeFiles
    access: Access
    authenticator: Authenticator
    explainer: Explainer
    verifier: Verifier
    request_sources: RequestSources
    clock: Clock
    settings: Settings
    reset: Callable[[], Awaitable[None]]
    measure: Callable[[], Awaitable[None]]
    audit_reader: AuditReader
    recorder: Recorder
    faults: Faults
    policy_check: RepositoryPolicyCheck
    replays: Replays
    organization: OrganizationAdministration
    reachability: Reachability
    generator: Generator
    readiness: Readiness
    jobs: JobQueue
    replaying: asyncio.Semaphore = field(default_factory=_places)
    generating: asyncio.Semaphore = field(default_factory=_places)
    applying: Turns = field(default_factory=Turns)
    """A file of 1 MiB takes a second and 100 MiB of memory."""
    exporting: Turns = field(default_factory=Turns)
