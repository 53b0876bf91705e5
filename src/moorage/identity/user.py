"""A user as everyone above sees it, and the ARNs of an account's identities."""

from typing import Any

import msgspec
from sqlalchemy import Row

from moorage.names import AccountId


class User(msgspec.Struct, frozen=True, gc=False):
    id: str
    """`AIDA…`; never given to another user."""
    account: AccountId
    name: str
    path: str
    """Starts and ends with `/`."""
    created_at: float

    @property
    def arn(self) -> str:
        return user_arn(self.account, self.path, self.name)


def user_arn(account: str, path: str, name: str) -> str:
    return f"arn:aws:iam::{account}:user{path}{name}"


def root_arn(account: str) -> str:
    return f"arn:aws:iam::{account}:root"


def user_of(row: Row[Any]) -> User:
    """From a row of `users`."""
    return User(row.id, AccountId(row.account), row.name, row.path, row.created_at)
