"""Identity, registry and access joined over one database, and the people who live there."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.download import Downloads
from moorage.access.principals import Principals
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.audit.recorder import Recorder
from moorage.clock import Clock
from moorage.identity.identity import Identity, make_identity
from moorage.identity.principals.entity import USER
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.registry.registry import Registry, make_registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database.database import Database

OWNER, OTHER = AccountId("111122223333"), AccountId("444455556666")
HERE = Region("eu-west-1")
APP = RepositoryRef(OWNER, HERE, RepositoryName("team/app"))
BY = f"arn:aws:iam::{OWNER}:root"


def statement(effect: str, action: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def connection(**changes: Any) -> Connection:
    plain = {"source_ip": "192.0.2.7", "secure": True, "user_agent": "tests", "referer": None, "host": "localhost"}
    return Connection(**{**plain, "region": HERE, **changes})


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class Backend:
    """The parts under test."""

    settings: Settings
    clock: Clock
    identity: Identity
    principals: Principals
    registry: Registry
    authenticator: Authenticator
    access: Access
    check: RepositoryPolicyCheck
    downloads: Downloads
    recorder: Recorder
    audit: AuditStore

    @classmethod
    def over(cls, db: Database, audit: AuditStore, settings: Settings) -> "Backend":
        clock, sealer = Clock(), Sealer([bytes(32)])
        identity = make_identity(db, sealer, clock)
        principals = Principals(identity)
        registry = make_registry(db, FileBlobStore(settings.data / "blobs"), clock, settings)
        authenticator = Authenticator(identity, sealer, clock, settings)
        recorder = Recorder(audit, clock, settings, lambda _kind, _number: None)
        access = Access(registry, identity.organizations, recorder, clock, settings)
        return cls(
            settings,
            clock,
            identity,
            principals,
            registry,
            authenticator,
            access,
            RepositoryPolicyCheck(access, principals, registry.repository_policies),
            Downloads(authenticator, clock, settings),
            recorder,
            audit,
        )

    async def root(self, account: AccountId = OWNER) -> Caller:
        """The account's root, with a key of its own."""
        await self.identity.accounts.ensure(account, by="tests")
        keys = await self.identity.keys.list(account, None)
        return await self.holder(
            keys[0].id if keys else (await self.identity.keys.create(account, None, by="tests"))[0].id
        )

    async def user(self, name: str, *statements: dict[str, Any], account: AccountId = OWNER) -> Caller:
        """A user with an inline policy of these statements, if any, and a key."""
        await self.identity.users.create(account, "/", name, BY)
        if statements:
            await self.allow(name, *statements, account=account)
        key, _ = await self.identity.keys.create(account, name, by="tests")
        return await self.holder(key.id)

    async def named(self, name: str, account: AccountId = OWNER) -> Caller:
        """The user of that name, by its key."""
        return await self.holder((await self.identity.keys.list(account, name))[0].id)

    async def allow(self, name: str, *statements: dict[str, Any], account: AccountId = OWNER) -> None:
        await self.identity.inline.put(USER, account, name, "own", document(*statements), BY)

    async def holder(self, key_id: str) -> Caller:
        """Whoever has that key, as the next request finds them."""
        return await self.authenticator.caller_of(await self.authenticator.credential(key_id))

    async def policy(self, *statements: dict[str, Any], ref: RepositoryRef = APP) -> None:
        """Put a repository policy in force, as it is stored."""
        accepted = await self.check.check_and_canonicalize(
            await self.root(ref.account), connection(), ref, document(*statements), True
        )
        await self.registry.repository_policies.set(ref, accepted.stored, by=BY)

    async def may(self, caller: Caller, action: str, ref: RepositoryRef = APP, **changes: Any) -> bool:
        return await self.access.allows(caller, connection(**changes), action, ref)
