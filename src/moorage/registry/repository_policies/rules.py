"""The rules of repository policies, as functions of a connection. What a policy means is not known here.

Texts are in their canonical form, checked by the caller. `by` is the principal who makes a change, `at` the time in
seconds since the epoch. Every function raises RepositoryNotFound.
"""

from sqlalchemy import Connection

from moorage import events
from moorage.errors import RepositoryNotFound, RepositoryPolicyNotFound
from moorage.events import registry as vocabulary
from moorage.names import RepositoryRef
from moorage.registry.repositories import rules as repositories
from moorage.registry.repository_policies.types import PolicyRevision
from moorage.store.metadata.policies import documents
from moorage.store.metadata.policies import repository_policies as rows


def put(conn: Connection, ref: RepositoryRef, text: str, *, by: str, at: float) -> None:
    """Set the policy of the repository, in place of any other."""
    policy_hash = documents.keep(conn, text)
    if not rows.set_of_repository(conn, ref, policy_hash, at, by):
        raise RepositoryNotFound(ref)
    event = vocabulary.RepositoryPolicySet(at=at, by=by, **events.of_repository(ref), policy_hash=policy_hash)
    events.record(conn, event)


def get(conn: Connection, ref: RepositoryRef) -> str:
    """Return the text of the policy. RepositoryPolicyNotFound."""
    policy_hash = repositories.require(conn, ref).policy_hash
    text = None if policy_hash is None else documents.text(conn, policy_hash)
    if text is None:
        raise RepositoryPolicyNotFound(ref)
    return text


def delete(conn: Connection, ref: RepositoryRef, *, by: str, at: float) -> str:
    """Delete the policy and return its text. RepositoryPolicyNotFound."""
    text = get(conn, ref)
    rows.set_of_repository(conn, ref, None, at, by)
    events.record(conn, vocabulary.RepositoryPolicyDeleted(at=at, by=by, **events.of_repository(ref)))
    return text


def history(conn: Connection, ref: RepositoryRef) -> list[PolicyRevision]:
    """Return the revisions of the policy that are kept, oldest first."""
    repository_id = repositories.require_id(conn, ref)
    return [PolicyRevision(row.policy_hash, row.at, row.by) for row in rows.history(conn, repository_id)]
