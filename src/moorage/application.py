"""Joins the components: settings in, ASGI application out."""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog

from moorage import logs, metrics
from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.download import Downloads
from moorage.access.organization import OrganizationAdministration
from moorage.access.principals import Principals
from moorage.access.registry_policy import RegistryPolicyCheck
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.analysis.explainer import Explainer
from moorage.analysis.policy_generator import Generator
from moorage.analysis.reachability import Reachability
from moorage.analysis.replay import Replays
from moorage.analysis.simulate import Simulator
from moorage.api.admin.app import admin_app
from moorage.api.admin.service import AdminServices
from moorage.api.asgi import Receive, Scope, Send
from moorage.api.aws.app import AwsApp
from moorage.api.aws.operation import Service
from moorage.api.aws.sigv4 import Verifier
from moorage.api.body_timer import BodyTimer
from moorage.api.ecr import ECR, EcrServices
from moorage.api.iam import IAM, IamServices
from moorage.api.injected_faults import Faults
from moorage.api.oci.app import OciApp
from moorage.api.request_source import RequestSources
from moorage.api.router import Apps, Router
from moorage.api.sts import STS, StsServices
from moorage.api.tagging import TAGGING, TaggingServices
from moorage.audit.reader import AuditReader
from moorage.audit.recorded_decisions import RecordedDecisions
from moorage.audit.recorder import Recorder
from moorage.audit.retention import AuditMaintenance
from moorage.clock import Clock
from moorage.console.app import console_app
from moorage.declarative.service import DeclarativeFiles
from moorage.events.delivery import Delivery
from moorage.identity.accounts.deployment import open_sealer
from moorage.identity.credentials.oidc import Issuers, read_issuers
from moorage.identity.identity import Identity, make_identity
from moorage.identity.maintenance import IdentityMaintenance
from moorage.jobs.maintenance import maintenance_kinds
from moorage.jobs.periodic import PeriodicTasks
from moorage.jobs.queue import JobQueue
from moorage.jobs.retention import JobMaintenance
from moorage.jobs.runner import Runner
from moorage.locations import Locations
from moorage.registry.maintenance import RegistryMaintenance
from moorage.registry.readiness import Readiness
from moorage.registry.registry import Registry, make_registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.open import open_blob_store
from moorage.store.blobs.store import BlobStore
from moorage.store.checking import problems_of_database
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.deployment import reset, stored_sizes
from moorage.store.metadata.epoch import Epochs
from moorage.store.reserve import Reserve

_log = structlog.get_logger()


def build(settings: Settings) -> "Application":
    """Return the application. It opens its stores when the server starts it."""
    logs.configure(settings.log_format)
    return Application(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The stores and what decides over them: what the API and the commands that run on the host share."""

    clock: Clock
    sealer: Sealer
    database: Database
    audit: AuditStore
    blobs: BlobStore
    registry: Registry
    identity: Identity
    principals: Principals
    recorder: Recorder
    access: Access
    policy_check: RepositoryPolicyCheck
    declarative_files: DeclarativeFiles

    async def close(self) -> None:
        """Close the stores."""
        await self.database.close()
        await self.audit.close()
        await self.blobs.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A started application."""

    router: Router
    components: Components
    runner: Runner
    background: list[asyncio.Task[None]]
    """Tasks that run until the application stops."""

    async def stop(self) -> None:
        """End the jobs and tasks, write what waits to be written, and close the stores."""
        await self.runner.stop()
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self.components.recorder.stop()
        await self.components.identity.last_uses.stop()
        await self.components.close()


async def open_components(settings: Settings) -> Components:
    """Open the stores and join the components over them, without starting anything in the background."""
    clock = Clock()
    database = await open_database(settings)
    sealer = await open_sealer(settings, database)
    audit = await AuditStore.open(settings)
    blobs = open_blob_store(settings)

    epochs = Epochs(database)
    identity = make_identity(database, sealer, clock, epochs)
    registry = make_registry(database, blobs, clock, settings, epochs)
    principals = Principals(identity)
    recorder = Recorder(audit, clock, settings, metrics.audit_dropped)
    access = Access(registry, identity.organizations, recorder, clock, settings)
    policy_check = RepositoryPolicyCheck(access, principals, registry.repository_policies)
    declarative_files = DeclarativeFiles.over(
        database,
        identity=identity,
        registry=registry,
        principals=principals,
        policy_check=policy_check,
        access=access,
        sealer=sealer,
        clock=clock,
        settings=settings,
    )
    return Components(
        clock=clock,
        sealer=sealer,
        database=database,
        audit=audit,
        blobs=blobs,
        registry=registry,
        identity=identity,
        principals=principals,
        recorder=recorder,
        access=access,
        policy_check=policy_check,
        declarative_files=declarative_files,
    )


async def start(settings: Settings) -> Running:
    """Join the APIs over the components, and start the background tasks."""
    components = await open_components(settings)
    clock, sealer, database = components.clock, components.sealer, components.database
    audit, recorder, blobs = components.audit, components.recorder, components.blobs
    registry, identity, principals = components.registry, components.identity, components.principals
    access, policy_check = components.access, components.policy_check
    authenticator = Authenticator(identity, sealer, clock, settings)
    downloads = Downloads(authenticator, clock, settings)
    issuers = Issuers(read_issuers(settings.oidc_issuers) if settings.oidc_issuers is not None else [], clock)
    locations = Locations(settings)
    request_sources = RequestSources(locations, settings.trusted_proxies, settings.forwarded_headers)
    verifier = Verifier(authenticator, clock, settings.clock_skew_seconds)
    elapsed = ElapsedTime(database, clock, settings)
    delivery = Delivery(database, elapsed, settings)
    kinds = maintenance_kinds(
        RegistryMaintenance(database, blobs, elapsed, clock, settings),
        IdentityMaintenance(database, elapsed, settings),
        AuditMaintenance(audit, elapsed, settings),
        delivery,
        JobMaintenance(database, elapsed, settings),
        settings,
    )
    runner = Runner(database, kinds, clock)
    jobs = JobQueue(database, clock, wake=runner.wake)
    reserve = Reserve(settings.data)
    periodic = PeriodicTasks(
        settings.sweep_interval_seconds,
        {
            "look at the clock": elapsed.observe,
            "write the times of pulls": registry.images.flush_pulls,
            "reserve room on the disk": lambda: asyncio.to_thread(reserve.refill),
        },
    )

    async def empty() -> None:
        await database.transaction(reset.empty, long=True)
        await recorder.clear()

    async def measure() -> None:
        for what, number in (await database.read(stored_sizes.stored)).items():
            metrics.STORED.labels(what).set(number)
        await jobs.measure()
        metrics.EVENTS_WAITING.set(await delivery.waiting())

    registry_policy_check = RegistryPolicyCheck(principals, registry.registry_policies)
    faults = Faults()
    records = RecordedDecisions(audit, access)
    replays = Replays(records, recorder, registry.repository_policies, clock, settings)
    explainer = Explainer(recorder, records, registry, access, principals.shown, clock)
    ecr = EcrServices(
        registry=registry,
        authenticator=authenticator,
        policy_check=policy_check,
        registry_policy_check=registry_policy_check,
        downloads=downloads,
        locations=locations,
        settings=settings,
        clock=clock,
        sealer=sealer,
    )
    simulator = Simulator(identity, access, clock)
    iam = IamServices(identity=identity, principals=principals, simulator=simulator, clock=clock)
    sts = StsServices(identity=identity, issuers=issuers, explainer=explainer, clock=clock)
    tagging = TaggingServices(registry=registry, access=access, sealer=sealer, clock=clock)
    services: list[tuple[Service[Any], Any]] = [(ECR, ecr), (IAM, iam), (STS, sts), (TAGGING, tagging)]
    recorder.start()
    identity.last_uses.start()
    apps = Apps(
        aws=AwsApp(services, verifier, access, request_sources, settings, recorder),
        oci=OciApp(registry, access, authenticator, downloads, locations, request_sources, settings, clock, recorder),
        admin=admin_app(
            AdminServices(
                registry=registry,
                identity=identity,
                declarative_files=components.declarative_files,
                access=access,
                authenticator=authenticator,
                explainer=explainer,
                verifier=verifier,
                request_sources=request_sources,
                clock=clock,
                settings=settings,
                reset=empty,
                measure=measure,
                audit_reader=AuditReader(audit, recorder),
                recorder=recorder,
                faults=faults,
                policy_check=policy_check,
                replays=replays,
                organization=OrganizationAdministration(identity.organizations, access, settings),
                reachability=Reachability(identity, registry, access, policy_check, settings),
                generator=Generator(records, replays, policy_check),
                readiness=Readiness(database, settings.data / "blobs"),
                jobs=jobs,
            )
        ),
        console=console_app(),
    )
    await runner.start()
    timer = BodyTimer(settings.body_pause_seconds, settings.body_bytes_per_second)
    return Running(
        router=Router(apps, timer, faults=faults if settings.dev else None, access_log=settings.access_log),
        components=components,
        runner=runner,
        background=[asyncio.create_task(each.run_forever()) for each in (periodic, registry.verification)],
    )


class Application:
    """The ASGI application of a worker: opens the stores, serves requests, and closes the stores."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: Running | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._running is None:
                raise RuntimeError("the application has not been started")
            await self._running.router(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def start(self) -> None:
        """Open the stores and start the background tasks.

        Raises SettingError if the settings or the data do not allow it.
        """
        self._running = await start(self._settings)

    def check_data(self) -> None:
        """Check the database file for damage, in this thread and while serving, and log what is found."""
        if self._settings.database_url is None:
            path = self._settings.data / "moorage.db"
            for found in problems_of_database(path, quick=True):
                _log.error("the database is damaged", file=str(path), problem=found.problem, repair=found.repair)

    async def stop(self) -> None:
        """End the background tasks, write what waits to be written, and close the stores."""
        if self._running is not None:
            await self._running.stop()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Start and stop for any ASGI server that sends lifespan events; `moorage.worker` calls the methods itself."""
        await receive()
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001 - the server reports it to the person who started it
            _log.error("could not start", exc_info=error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})
