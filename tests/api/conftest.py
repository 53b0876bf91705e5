"""The AWS door over fresh stores, seen by the root of an account."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.principals import Principals
from moorage.analysis.explainer import Explainer
from moorage.analysis.simulate import Simulator
from moorage.api.aws.app import AwsApp
from moorage.api.aws.operation import Service
from moorage.api.aws.sigv4 import Verifier
from moorage.api.iam import IAM, IamServices
from moorage.api.request_source import RequestSources
from moorage.api.sts import STS, StsServices
from moorage.audit.recorded_decisions import RecordedDecisions
from moorage.audit.recorder import Recorder
from moorage.identity.credentials.oidc import Issuers
from moorage.identity.identity import make_identity
from moorage.locations import Locations
from moorage.registry.registry import make_registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.metadata.database.open import open_database
from tests.api.aws.test_sigv4 import FixedClock
from tests.support.query_client import OWNER, NoAudit, QueryClient


@pytest.fixture
async def root(tmp_path: Path) -> AsyncIterator[QueryClient]:
    settings = Settings(mode="dev", data=tmp_path)
    clock, sealer = FixedClock(), Sealer([bytes(32)])
    database = await open_database(settings)
    registry = make_registry(database, FileBlobStore(tmp_path / "blobs"), clock, settings)
    identity = make_identity(database, sealer, clock)
    authenticator = Authenticator(identity, sealer, clock, settings)
    audit: Any = NoAudit()
    recorder = Recorder(audit, clock, settings, lambda _kind, _number: None)
    access = Access(registry, identity.organizations, recorder, clock, settings)
    records, principals = RecordedDecisions(audit, access), Principals(identity)
    explainer = Explainer(recorder, records, registry, access, principals.shown, clock)
    verifier = Verifier(authenticator, clock, settings.clock_skew_seconds)
    simulator = Simulator(identity, access, clock)
    iam = IamServices(identity=identity, principals=principals, simulator=simulator, clock=clock)
    sts = StsServices(identity=identity, issuers=Issuers([], clock), explainer=explainer, clock=clock)
    services: list[tuple[Service[Any], Any]] = [(IAM, iam), (STS, sts)]
    door = AwsApp(services, verifier, access, RequestSources(Locations(settings), ()), settings)
    await identity.accounts.ensure(OWNER, by="tests")
    key, secret = await identity.keys.create(OWNER, None, by="tests")
    yield QueryClient(door, identity, key.id, secret)
    await database.close()
