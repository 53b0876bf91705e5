"""The rules of registry policies, as functions of a connection. What a policy means is not known here.

Texts are in their canonical form, checked by the caller. `by` is the principal who makes a change, `at` the time in
seconds since the epoch.
"""

from sqlalchemy import Connection

from moorage import events
from moorage.errors import RegistryPolicyNotFound
from moorage.events import registry as vocabulary
from moorage.names import AccountId, Region
from moorage.registry import quotas
from moorage.registry.account_settings.rules import DEFAULTS
from moorage.registry.registry_policies.types import RegistryState
from moorage.registry.repository_policies.types import PolicyRevision
from moorage.store.metadata.policies import documents
from moorage.store.metadata.policies import registry_policies as rows


def put(conn: Connection, account: AccountId, region: Region, text: str, *, by: str, at: float) -> None:
    """Set the policy of the registry, in place of any other. LimitExceeded if there are too many regions."""
    quotas.require_region(conn, account, region)
    policy_hash = documents.keep(conn, text)
    rows.set_of_registry(conn, account, region, policy_hash, at, by)
    event = vocabulary.RegistryPolicySet(at=at, by=by, account=account, region=region, policy_hash=policy_hash)
    events.record(conn, event)


def get(conn: Connection, account: AccountId, region: Region) -> str:
    """Return the text of the policy. RegistryPolicyNotFound."""
    text = rows.text(conn, account, region)
    if text is None:
        raise RegistryPolicyNotFound(account)
    return text


def delete(conn: Connection, account: AccountId, region: Region, *, by: str, at: float) -> str:
    """Delete the policy and return its text. RegistryPolicyNotFound."""
    text = get(conn, account, region)
    rows.set_of_registry(conn, account, region, None, at, by)
    events.record(conn, vocabulary.RegistryPolicyDeleted(at=at, by=by, account=account, region=region))
    return text


def history(conn: Connection, account: AccountId, region: Region) -> list[PolicyRevision]:
    """Return the revisions of the policy that are kept, oldest first."""
    return [PolicyRevision(row.policy_hash, row.at, row.by) for row in rows.history(conn, account, region)]


def state(conn: Connection, account: AccountId, region: Region) -> tuple[int, RegistryState]:
    """Return the authorization epoch and what a decision needs to know of the registry."""
    row = rows.state(conn, account, region)
    return row.epoch, RegistryState(row.policy_hash, row.scope or DEFAULTS[rows.SCOPE])
