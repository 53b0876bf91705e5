"""The policies of repositories: which is in force, and which were. What a policy means is not known here."""

from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from moorage.cache import Cache, entry_footprint
from moorage.clock import Clock
from moorage.errors import RepositoryNotFound, RepositoryPolicyNotFound
from moorage.names import RepositoryRef
from moorage.registry import events
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.policies import repository_policies as rows
from moorage.store.metadata.repositories import repositories as repository_rows

_DOCUMENTS_KEPT = 4 << 20


class Past(NamedTuple):
    """A policy in a repository's history; `policy_hash` None says that the policy was deleted."""

    policy_hash: str | None
    at: float
    by: str


class RepositoryPolicies:
    """Repository policies as texts in their stored form; every change raises the authorisation epoch."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._documents: Cache[str, str] = Cache("policy_texts", _DOCUMENTS_KEPT, entry_footprint)

    async def set(self, ref: RepositoryRef, text: str, *, by: str) -> None:
        """Put `text` in force in place of whatever was. RepositoryNotFound."""

        def work(conn: Connection) -> None:
            now = self._clock.now()
            if not rows.set_of_repository(conn, ref, rows.keep(conn, text), now, by):
                raise RepositoryNotFound(ref)
            epoch.advance_repository(conn)
            events.record(conn, ref, "policy.set", {"by": by}, at=now)

        await self._db.transaction(work)

    async def get(self, ref: RepositoryRef) -> str:
        """The text in force. RepositoryNotFound, RepositoryPolicyNotFound."""
        return await self._db.read(partial(_in_force, ref=ref))

    async def delete(self, ref: RepositoryRef, *, by: str) -> str:
        """End the policy; its text. RepositoryNotFound, RepositoryPolicyNotFound."""

        def work(conn: Connection) -> str:
            text = _in_force(conn, ref)
            now = self._clock.now()
            rows.set_of_repository(conn, ref, None, now, by)
            epoch.advance_repository(conn)
            events.record(conn, ref, "policy.deleted", {"by": by}, at=now)
            return text

        return await self._db.transaction(work)

    async def document(self, name: str) -> str:
        """The text of any policy document by its hash; LookupError when there is none."""
        text = self._documents.get(name)
        if text is None:
            found = await self._db.read(lambda conn: rows.document(conn, name))
            if found is None:
                raise LookupError(name)
            text = found
            self._documents.keep(name, text)
        return text

    async def history(self, ref: RepositoryRef) -> list[Past]:
        """The policies the repository had, oldest first, as far as they are kept. RepositoryNotFound."""

        def work(conn: Connection) -> list[Past]:
            repository_id, _ = _repository(conn, ref)
            return [Past(row.policy_hash, row.at, row.by) for row in rows.history(conn, repository_id)]

        return await self._db.read(work)


def _repository(conn: Connection, ref: RepositoryRef) -> tuple[int, str | None]:
    """Its id and the hash of its policy."""
    row = repository_rows.find(conn, ref)
    if row is None:
        raise RepositoryNotFound(ref)
    return row.id, row.policy_hash


def _in_force(conn: Connection, ref: RepositoryRef) -> str:
    _, name = _repository(conn, ref)
    text = None if name is None else rows.document(conn, name)
    if text is None:
        raise RepositoryPolicyNotFound(ref)
    return text
