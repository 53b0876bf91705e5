"""The repository policies of all registries: each method is one transaction over `rules`, or a cached read."""

from typing import Final

from moorage.cache import Cache, entry_footprint
from moorage.clock import Clock
from moorage.names import RepositoryRef
from moorage.registry.repository_policies import rules
from moorage.registry.repository_policies.types import PolicyRevision
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.policies import documents

_DOCUMENTS_KEPT: Final = 4 << 20
"""Bytes of policy texts that are cached."""


class RepositoryPolicies:
    """Sets, returns and deletes repository policies. The errors are those of `rules`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._documents: Cache[str, str] = Cache("policy_texts", _DOCUMENTS_KEPT, entry_footprint)

    async def set(self, ref: RepositoryRef, text: str, *, by: str) -> None:
        """Set the policy of the repository, in place of any other. RepositoryNotFound."""
        await self._db.transaction(lambda conn: rules.put(conn, ref, text, by=by, at=self._clock.now()))

    async def get(self, ref: RepositoryRef) -> str:
        """Return the text of the policy. RepositoryNotFound, RepositoryPolicyNotFound."""
        return await self._db.read(lambda conn: rules.get(conn, ref))

    async def delete(self, ref: RepositoryRef, *, by: str) -> str:
        """Delete the policy and return its text. RepositoryNotFound, RepositoryPolicyNotFound."""
        return await self._db.transaction(lambda conn: rules.delete(conn, ref, by=by, at=self._clock.now()))

    async def document(self, name: str) -> str:
        """Return the text of any policy document by its hash. LookupError if there is none."""
        text = self._documents.get(name)
        if text is None:
            found = await self._db.read(lambda conn: documents.text(conn, name))
            if found is None:
                raise LookupError(name)
            text = found
            self._documents.keep(name, text)
        return text

    async def history(self, ref: RepositoryRef) -> list[PolicyRevision]:
        """Return the revisions of the policy that are kept, oldest first. RepositoryNotFound."""
        return await self._db.read(lambda conn: rules.history(conn, ref))
