"""Everything about identities, joined for the layers above."""

from dataclasses import dataclass

from moorage.clock import Clock
from moorage.identity.accounts import Accounts
from moorage.identity.credentials import Credentials
from moorage.identity.keys import AccessKeys
from moorage.identity.sessions import Sessions
from moorage.identity.users import Users
from moorage.sealing import Sealer
from moorage.store.metadata.database import Database


@dataclass(frozen=True, slots=True)
class Identity:
    accounts: Accounts
    users: Users
    keys: AccessKeys
    sessions: Sessions
    credentials: Credentials


def make_identity(db: Database, sealer: Sealer, clock: Clock) -> Identity:
    return Identity(
        Accounts(db, clock),
        Users(db, clock),
        AccessKeys(db, sealer, clock),
        Sessions(db, sealer, clock),
        Credentials(db, sealer),
    )
