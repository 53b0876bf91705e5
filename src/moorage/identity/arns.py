"""The ARNs of accounts, identities and managed policies. Identities belong to no region; the partition is `aws`."""

import re
from typing import Final, NamedTuple

from moorage.names import AccountId

_NAME: Final = r"(/(?:[!-~]{1,510}/)?)([\w+=,.@-]{1,128})"  # path and name
_IDENTITY: Final = re.compile(rf"arn:aws:iam::([0-9]{{12}}):(user|group|role){_NAME}", re.ASCII)
_POLICY: Final = re.compile(rf"arn:aws:iam::([0-9]{{12}}|aws):policy{_NAME}", re.ASCII)


class Parsed(NamedTuple):
    """The parts of the ARN of an identity or policy, which may not exist."""

    account: AccountId
    kind: str
    """`user`, `group`, `role`, `policy`."""
    path: str
    name: str


def root_arn(account: str) -> str:
    """Return the ARN of the root of an account."""
    return f"arn:aws:iam::{account}:root"


def identity_arn(kind: str, account: str, path: str, name: str) -> str:
    """Return the ARN of a user, group or role (`kind`). `path` starts and ends with `/`."""
    return f"arn:aws:iam::{account}:{kind}{path}{name}"


def policy_arn(account: str, path: str, name: str) -> str:
    """Return the ARN of a managed policy. AWS's own belong to the account `aws`."""
    return f"arn:aws:iam::{account}:policy{path}{name}"


def role_session_arn(account: str, role: str, session: str) -> str:
    """Return the ARN of a session of the role with that name, whose path it does not contain."""
    return f"arn:aws:sts::{account}:assumed-role/{role}/{session}"


def federated_user_arn(account: str, name: str) -> str:
    """Return the ARN of a federated user."""
    return f"arn:aws:sts::{account}:federated-user/{name}"


def parse_identity(text: str) -> Parsed | None:
    """Return the parts of the ARN of a user, group or role; None if `text` is not one."""
    match = _IDENTITY.fullmatch(text)
    return None if match is None else Parsed(AccountId(match[1]), match[2], match[3], match[4])


def parse_policy(text: str) -> Parsed | None:
    """Return the parts of the ARN of a managed policy; None if `text` is not one."""
    match = _POLICY.fullmatch(text)
    return None if match is None else Parsed(AccountId(match[1]), "policy", match[2], match[3])
