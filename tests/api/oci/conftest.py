"""A registry on SQLite and files behind the data plane's door; who may do what is said by each test."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moorage.access.resources import RegistryResource
from moorage.api.oci.app import OciApp
from moorage.api.request_source import RequestSources
from moorage.clock import Clock
from moorage.errors import AccessDenied, AuthorizationTokenExpired, AuthorizationTokenInvalid
from moorage.locations import Locations
from moorage.names import AccountId, Digest, Region, RepositoryName, RepositoryRef
from moorage.registry.registry import Registry, make_registry
from moorage.settings import Settings
from moorage.store.blobs.open import open_blob_store
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.open import open_database
from tests.support.oci_asgi import Answer, AsgiClient

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def ref(name: str, account: str = "000000000000", region: str = "us-east-1") -> RepositoryRef:
    return RepositoryRef(AccountId(account), Region(region), RepositoryName(name))


@dataclass
class Rights:
    """Denies what the test says, and remembers what was asked."""

    denied: set[tuple[str, str]] = field(default_factory=set)  # (action, repository name or *)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def require(self, caller: Any, connection: Any, action: str, resource: Any, **_: Any) -> None:
        if not await self.allows(caller, connection, action, resource):
            raise AccessDenied(f"User: {caller.principal.arn} is not authorized", "d-1", short="identity: no\r\nallow")

    async def allows(self, _caller: Any, _connection: Any, action: str, resource: Any, **_: Any) -> bool:
        name = "*" if isinstance(resource, RegistryResource) else resource.name
        asked = (action.removeprefix("ecr:"), name)
        self.asked.append(asked)
        return asked not in self.denied

    async def sees(self, _caller: Any, _connection: Any, action: str, resource: Any, **_: Any) -> bool:
        return (action.removeprefix("ecr:"), resource.name) not in self.denied


class Passwords:
    """Every word is a good password, but for two."""

    async def caller_of_basic(self, header: str, _region: str | None) -> Any:
        import base64

        user = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")[2]
        if user == "expired":
            raise AuthorizationTokenExpired
        if user == "forged":
            raise AuthorizationTokenInvalid
        return SimpleNamespace(principal=SimpleNamespace(arn=f"arn:aws:iam::000000000000:user/{user}", kind="user"))


class Urls:
    """Opens the one token `good`."""

    async def open(self, token: str, _of: RepositoryRef, _digest: Digest) -> Any:
        if token != "good":
            raise AuthorizationTokenInvalid
        return SimpleNamespace(principal=SimpleNamespace(arn="arn:aws:iam::000000000000:user/holder", kind="user"))


@dataclass
class OciApi:
    """The data plane under test."""

    registry: Registry
    rights: Rights
    client: AsgiClient
    clock: Clock

    async def create(self, name: str) -> None:
        await self.registry.repositories.create(ref(name), by="test")

    async def push_blob(self, name: str, content: bytes) -> str:
        digest = sha256(content)
        answer = await self.client("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content)
        assert answer.status == 201, answer
        return digest

    async def push(self, name: str, reference: str, **given: Any) -> Answer:
        """Push a manifest: with a config and a layer unless `given` says otherwise."""
        return await self.push_text(name, reference, await self.manifest(name, **given))

    async def manifest(self, name: str, content: bytes = b"layer", **given: Any) -> bytes:
        layer = await self.push_blob(name, content)
        config = await self.push_blob(name, b"{}")
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": len(content)}],
        }
        return json.dumps(document | given).encode()

    async def push_text(self, name: str, reference: str, text: bytes, media_type: str = MANIFEST) -> Answer:
        return await self.client("PUT", f"/v2/{name}/manifests/{reference}", text, content_type=media_type)


MakeOciApi = Callable[..., Any]


@pytest.fixture
async def make_oci(tmp_path: Path) -> AsyncIterator[MakeOciApi]:
    """Makes data planes; `given` are settings."""
    databases: list[Any] = []

    async def make(*, blobs: BlobStore | None = None, **given: Any) -> OciApi:
        settings = Settings.from_environment(
            {},
            **{
                "mode": "dev",
                "data": tmp_path / str(len(databases)),
                "create_on_push": False,
                "hosts": ("amazonaws.com",),
                **given,
            },
        )
        settings.data.mkdir()
        database = await open_database(settings)
        databases.append(database)
        clock = Clock()
        registry = make_registry(database, blobs or open_blob_store(settings), clock, settings)
        locations = Locations(settings)
        rights: Any = Rights()
        passwords: Any = Passwords()
        urls: Any = Urls()
        request_sources = RequestSources(locations, settings.trusted_proxies)
        door = OciApp(registry, rights, passwords, urls, locations, request_sources, settings, clock)
        return OciApi(registry, rights, AsgiClient(door), clock)

    yield make
    for database in databases:
        await database.close()


@pytest.fixture
async def oci(make_oci: MakeOciApi) -> OciApi:
    """Profile oci, with the empty repository `app`."""
    made: OciApi = await make_oci()
    await made.create("app")
    return made


@pytest.fixture
async def aws(make_oci: MakeOciApi) -> OciApi:
    """Profile aws, with the empty repository `app`."""
    made: OciApi = await make_oci(profile="aws")
    await made.create("app")
    return made
