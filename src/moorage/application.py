"""The one place where the parts are joined: settings in, ASGI application out."""

import asyncio
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from moorage import logs, metrics
from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.download import Downloads
from moorage.access.organization import OrganizationDesk
from moorage.access.principals import Principals
from moorage.access.registry_policy import RegistryPolicyCheck
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.analysis.generate import Generator
from moorage.analysis.reachability import Reach
from moorage.analysis.replay import Replays
from moorage.analysis.simulate import Simulator
from moorage.analysis.why import Why
from moorage.api.admin.app import admin_app
from moorage.api.admin.service import AdminServices
from moorage.api.asgi import ACCESS_LINE, AccessLine, Message, Receive, Scope, Send, respond
from moorage.api.aws.app import AwsApp
from moorage.api.aws.operation import Service
from moorage.api.aws.sigv4 import Verifier
from moorage.api.body_timer import BodyTimer
from moorage.api.ecr import ECR, EcrServices
from moorage.api.iam import IAM, IamServices
from moorage.api.injected_faults import Faults
from moorage.api.oci.app import OciApp
from moorage.api.request_source import RequestSources
from moorage.api.sts import STS, StsServices
from moorage.api.tagging import TAGGING, TaggingServices
from moorage.audit.reader import Events
from moorage.audit.recorded_decisions import Records
from moorage.audit.recorder import Recorder
from moorage.clock import Clock
from moorage.declarative.nouns import Nouns
from moorage.declarative.service import Declared
from moorage.errors import RequestTimeout
from moorage.identity.accounts.deployment import open_sealer
from moorage.identity.credentials.oidc import Issuers, read_issuers
from moorage.identity.identity import Identity, make_identity
from moorage.jobs.sweep import Sweep
from moorage.locations import Locations
from moorage.registry.readiness import Readiness
from moorage.registry.registry import Registry, make_registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.checking import problems_of_database
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.deployment import reset, stored_sizes
from moorage.store.metadata.epoch import Epochs

_log = structlog.get_logger()


def build(settings: Settings) -> "Application":
    """The application; it opens its stores when the server starts it."""
    logs.configure(settings.log_format)
    return Application(settings)


@dataclass(frozen=True, slots=True)
class Parts:
    """What lies under the doors, and serves commands that work on the host too: the stores, and what decides."""

    clock: Clock
    sealer: Sealer
    database: Database
    audit: AuditStore
    blobs: FileBlobStore
    registry: Registry
    identity: Identity
    principals: Principals
    recorder: Recorder
    access: Access
    policy_check: RepositoryPolicyCheck
    declared: Declared

    async def close(self) -> None:
        """Let the stores go."""
        await self.database.close()
        await self.audit.close()
        await self.blobs.close()


@dataclass(frozen=True, slots=True)
class Running:
    """The doors of a started application and what must be ended with it."""

    aws: AwsApp
    oci: OciApp
    admin: Any
    faults: Faults | None
    """Of dev mode alone."""
    parts: Parts
    background: list[asyncio.Task[None]]
    """What runs by itself: the sweep, and the check of layers that were sent."""

    async def stop(self) -> None:
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self.parts.recorder.stop()
        await self.parts.identity.last_uses.stop()
        await self.parts.close()


async def open_parts(settings: Settings) -> Parts:
    """Open the stores and join the parts over them. Nothing runs by itself yet."""
    clock = Clock()
    database = await open_database(settings)
    sealer = await open_sealer(settings, database)
    audit = await AuditStore.open(settings)
    blobs = FileBlobStore(settings.data / "blobs")

    def over(db: Database) -> Nouns:
        epochs = Epochs(db)
        return Nouns(make_identity(db, sealer, clock, epochs), make_registry(db, blobs, clock, settings, epochs))

    identity, registry = over(database)
    principals = Principals(identity)
    recorder = Recorder(audit, clock, settings, metrics.audit_dropped)
    access = Access(registry, identity.organizations, recorder, clock, settings)
    policy_check = RepositoryPolicyCheck(access, principals, registry.policies)
    declared = Declared(database, over, policy_check, access, settings.default_account)
    return Parts(
        clock, sealer, database, audit, blobs, registry, identity, principals, recorder, access, policy_check, declared
    )


async def start(settings: Settings) -> Running:
    """Join the doors over the parts, and start what runs by itself."""
    parts = await open_parts(settings)
    clock, sealer, database, audit = parts.clock, parts.sealer, parts.database, parts.audit
    blobs, registry, identity, principals = parts.blobs, parts.registry, parts.identity, parts.principals
    recorder, access, policy_check = parts.recorder, parts.access, parts.policy_check
    authenticator = Authenticator(identity, sealer, clock, settings)
    downloads = Downloads(authenticator, clock, settings)
    issuers = Issuers(read_issuers(settings.oidc_issuers) if settings.oidc_issuers is not None else [], clock)
    locations = Locations(settings)
    request_sources = RequestSources(locations, settings.trusted_proxies, settings.forwarded_headers)
    verifier = Verifier(authenticator, clock, settings.clock_skew_seconds)
    sweep = Sweep(database, blobs, registry.images, clock, settings)

    async def empty() -> None:
        await database.transaction(reset.empty, long=True)
        await recorder.clear()

    async def measure() -> None:
        for what, number in (await database.read(stored_sizes.stored)).items():
            metrics.STORED.labels(what).set(number)

    registry_policy_check = RegistryPolicyCheck(principals, registry.registry_policies)
    faults = Faults()
    records = Records(audit, access)
    replays = Replays(records, recorder, registry.policies, clock, settings)
    why = Why(recorder, records, registry, access, principals.shown, clock)
    ecr = EcrServices(
        registry,
        authenticator,
        policy_check,
        registry_policy_check,
        downloads,
        locations,
        settings,
        clock,
        sealer,
    )
    services: list[tuple[Service[Any], Any]] = [
        (ECR, ecr),
        (IAM, IamServices(identity, principals, Simulator(identity, access, clock), clock)),
        (STS, StsServices(identity, issuers, why, clock)),
        (TAGGING, TaggingServices(registry, access, sealer, clock)),
    ]
    recorder.start(sweep.elapsed.since)
    identity.last_uses.start()
    return Running(
        aws=AwsApp(services, verifier, access, request_sources, settings, recorder),
        oci=OciApp(registry, access, authenticator, downloads, locations, request_sources, settings, clock, recorder),
        admin=admin_app(
            AdminServices(
                registry,
                identity,
                parts.declared,
                access,
                authenticator,
                why,
                verifier,
                request_sources,
                clock,
                settings,
                empty,
                measure,
                Events(audit, recorder),
                recorder,
                faults,
                policy_check,
                replays,
                OrganizationDesk(identity.organizations, access, settings),
                Reach(identity, registry, access, policy_check, settings),
                Generator(records, replays, policy_check),
                Readiness(database, settings.data / "blobs"),
            )
        ),
        faults=faults if settings.dev else None,
        parts=parts,
        background=[asyncio.create_task(each.run_forever()) for each in (sweep, registry.verification)],
    )


class Application:
    """The ASGI application: sends each request to its door, counts it, and logs it when asked to."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: Running | None = None
        self._counted: dict[tuple[str, str, int], Any] = {}
        self._timer = BodyTimer(settings.body_pause_seconds, settings.body_bytes_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        running = self._running
        if running is None:
            raise RuntimeError("the application has not been started")
        if _is_coded_oddly(scope):
            await respond(send, 400, [(b"connection", b"close"), (b"content-length", b"0")])
            return
        path: str = scope["path"]
        name: str
        door: Any
        if path.startswith("/v2/") or path == "/v2":
            name, door = "oci", running.oci
        elif path == "/":
            name, door = "aws", running.aws
        else:
            name, door = "admin", running.admin
        line = None
        if self._settings.access_log:
            line = scope[ACCESS_LINE] = AccessLine()
        traffic = _Traffic(receive, send, self._timer)
        started = time.perf_counter()
        try:
            if running.faults is not None and running.faults.rules and name != "admin":
                await running.faults.meet(scope)
            await door(scope, traffic.receive, traffic.send)
        finally:
            self._count(name, scope, traffic, time.perf_counter() - started, line)
            traffic.release()

    def _count(self, door: str, scope: Scope, traffic: "_Traffic", seconds: float, line: AccessLine | None) -> None:
        # A client may send any method: what is not one of ours counts as one and the same.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = (door, method, traffic.status)
        counted = self._counted.get(key)
        if counted is None:
            counted = self._counted[key] = (
                metrics.REQUESTS.labels(door, method, str(traffic.status)),
                metrics.SECONDS.labels(door),
                metrics.RECEIVED.labels(door),
                metrics.SENT.labels(door),
            )
        requests, latency, received, sent = counted
        requests.inc()
        latency.observe(seconds)
        if traffic.received:
            received.inc(traffic.received)
        if traffic.sent:
            sent.inc(traffic.sent)
        if line is not None:
            client = scope.get("client")
            _log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=traffic.status,
                milliseconds=round(seconds * 1000, 2),
                received=traffic.received,
                sent=traffic.sent,
                client=client[0] if client else None,
                **{name: value for name in AccessLine.__slots__ if (value := getattr(line, name)) is not None},
            )

    async def start(self) -> None:
        """Open the stores and begin what runs by itself. SettingError when the settings or the data do not allow it."""
        self._running = await start(self._settings)

    def check_data(self) -> None:
        """Look for damage in the database file, in this thread and while serving. What is found is logged."""
        if self._settings.database_url is None:
            path = self._settings.data / "moorage.db"
            for found in problems_of_database(path, quick=True):
                _log.error("the database is damaged", file=str(path), problem=found.problem, repair=found.repair)

    async def stop(self) -> None:
        """Write what waits to be written, and close the stores."""
        if self._running is not None:
            await self._running.stop()

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop as any ASGI server asks for it; Moorage's own (`moorage.worker`) calls the methods."""
        await receive()
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, the server is told, and a person reads it
            _log.error("could not start", exc_info=error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _is_coded_oddly(scope: Scope) -> bool:
    """Whether the body's end is not clear to every reader (RFC 9112, section 6.1): then the connection ends with it.

    The server takes any list of codings that ends in `chunked`, several times too. A proxy may see the end elsewhere.
    """
    codings = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
    return bool(codings) and (len(codings) > 1 or codings[0].lower() != b"chunked")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


async def _left() -> Message:
    return {"type": "http.disconnect"}


async def _discard(message: Message) -> None:
    pass


class _Traffic:
    """Passes a request's messages on, times its body, and notes what the metrics want of them."""

    __slots__ = ("_budget", "_headers", "_receive", "_send", "_timer", "received", "sent", "status")

    def __init__(self, receive: Receive, send: Send, timer: BodyTimer) -> None:
        self._receive = receive
        self._send = send
        self._timer = timer
        self._budget: float | None = timer.pause
        """Seconds that may be spent waiting for the body; None once it is here."""
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        self.status = 0
        self.received = 0
        self.sent = 0

    async def receive(self) -> Message:
        """The next message. RequestTimeout when the body is too slow, after that a disconnect.

        What comes after the body is the client's leaving, for which a response that is long may wait for long.
        """
        if self._budget is None:
            return await self._receive()
        if self._budget < 0:
            return {"type": "http.disconnect"}
        try:
            message, budget = await self._timer.receive(self._receive, self._budget)
        except RequestTimeout:
            self._budget = -1.0
            if self.status:  # the answer is sent, and only the rest of the body is thrown away
                return {"type": "http.disconnect"}
            raise
        self._budget = budget if message.get("more_body", False) else None
        self.received += len(message.get("body", b""))
        return message

    def release(self) -> None:
        """Let go of the connection, which the server closes when nobody can read the rest of a body any more.

        An error that was raised in the request may keep its frames, and with them this object, until cycles are
        collected.
        """
        self._receive = _left
        self._send = _discard

    def send(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = message["headers"]
        elif message["type"] == "http.response.pathsend":  # a whole file, sent by the server itself
            self.sent += int(dict(self._headers)[b"content-length"])
        else:
            self.sent += len(message.get("body", b""))
        return self._send(message)
