"""Everything about identities as one object, for the layers above."""

from dataclasses import dataclass

from moorage.clock import Clock
from moorage.identity.accounts.accounts import Accounts
from moorage.identity.accounts.organizations import Organizations
from moorage.identity.credentials.access_keys import AccessKeys
from moorage.identity.credentials.credentials import Credentials
from moorage.identity.credentials.last_uses import LastUses
from moorage.identity.credentials.pull_tokens import PullTokens
from moorage.identity.credentials.sessions import Sessions
from moorage.identity.policies.attachments import Attachments
from moorage.identity.policies.inline_policies import InlinePolicies
from moorage.identity.policies.managed_policies import ManagedPolicies
from moorage.identity.principals.details import AccountDetails
from moorage.identity.principals.groups import Groups
from moorage.identity.principals.roles import Roles
from moorage.identity.principals.tags import Tags
from moorage.identity.principals.users import Users
from moorage.sealing import Sealer
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.epoch import Epochs


@dataclass(frozen=True, slots=True)
class Identity:
    """The classes that read and change identities, over one database."""

    accounts: Accounts
    users: Users
    groups: Groups
    roles: Roles
    inline: InlinePolicies
    managed: ManagedPolicies
    attachments: Attachments
    tags: Tags
    details: AccountDetails
    keys: AccessKeys
    last_uses: LastUses
    sessions: Sessions
    pull_tokens: PullTokens
    credentials: Credentials
    organizations: Organizations
    epochs: Epochs
    """The authorization epoch, at which cached results end."""


def make_identity(db: Database, sealer: Sealer, clock: Clock, epochs: Epochs | None = None) -> Identity:
    """Return the classes over a database. `epochs`: the reader of its epoch that others share; None: a new one."""
    epochs = epochs or Epochs(db)
    return Identity(
        Accounts(db, clock),
        Users(db, clock),
        Groups(db, clock),
        Roles(db, clock),
        InlinePolicies(db, clock),
        ManagedPolicies(db, clock),
        Attachments(db, clock),
        Tags(db, clock),
        AccountDetails(db),
        AccessKeys(db, sealer, clock),
        LastUses(db, clock),
        Sessions(db, sealer, clock),
        PullTokens(db, clock),
        Credentials(epochs, sealer),
        Organizations(epochs, clock),
        epochs,
    )
