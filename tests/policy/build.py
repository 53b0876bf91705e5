"""Short ways to write policies, callers and requests in these tests."""

import json
from collections.abc import Mapping
from typing import Any

from moorage.policy import Kind, Named, Policies, Principal, Request, parse

OWNER = "111122223333"
OTHER = "444455556666"
ARN = f"arn:aws:ecr:us-east-1:{OWNER}:repository/team/app"
ACTION = "ecr:BatchGetImage"


def user(account: str = OWNER, name: str = "alice") -> Principal:
    return Principal("user", account, f"arn:aws:iam::{account}:user/{name}", "AIDAABCDEFGHIJKLMNOPQ", user_name=name)


def role(account: str = OWNER) -> Principal:
    return Principal(
        "role",
        account,
        f"arn:aws:sts::{account}:assumed-role/builder/ci",
        "AROAABCDEFGHIJKLMNOPQ:ci",
        role_arn=f"arn:aws:iam::{account}:role/teams/builder",
        role_id="AROAABCDEFGHIJKLMNOPQ",
    )


def federated(account: str = OWNER) -> Principal:
    return Principal(
        "federated",
        account,
        f"arn:aws:sts::{account}:federated-user/bob",
        f"{account}:bob",
        user_arn=f"arn:aws:iam::{account}:user/alice",
        user_id="AIDAABCDEFGHIJKLMNOPQ",
    )


def root(account: str = OWNER) -> Principal:
    return Principal("root", account, f"arn:aws:iam::{account}:root", account)


def ask(
    caller: Principal,
    action: str = ACTION,
    resource: str = ARN,
    context: Mapping[str, str | tuple[str, ...]] | None = None,
) -> Request:
    return Request(caller, action, resource, OWNER, context or {})


def text(*statements: Mapping[str, object], version: str | None = "2012-10-17") -> str:
    head = {} if version is None else {"Version": version}
    return json.dumps({**head, "Statement": list(statements)})


def named(kind: Kind, *statements: Mapping[str, object], version: str | None = "2012-10-17") -> list[Named]:
    return [Named(kind.value, "hash", parse(text(*statements, version=version), kind))]


def grant(principal: object, effect: str = "Allow", action: object = "ecr:*", **more: object) -> dict[str, object]:
    return {"Effect": effect, "Principal": principal, "Action": action, **more}


def right(effect: str = "Allow", action: object = "ecr:*", resource: object = "*", **more: object) -> dict[str, object]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def attached(kind: Kind, mark: str) -> list[Named] | None:
    """`-` not attached, `y` attached and allows, `n` attached and does not allow."""
    if mark == "-":
        return None
    return named(kind, right() if mark == "y" else right(action="s3:*"))


def policies(names: object, identity: str = "-", boundary: str = "-", session: str = "-") -> Policies:
    """`names`: the Principal of the repository policy's one Allow; None: no repository policy."""
    return Policies(
        identity=attached(Kind.IDENTITY, identity),
        resource=None if names is None else named(Kind.REPOSITORY, grant(names)),
        boundary=attached(Kind.BOUNDARY, boundary),
        session=attached(Kind.SESSION, session),
    )


class Kept(dict[tuple[object, ...], Any]):
    """Answers of plans, all of them kept."""

    def keep(self, key: tuple[object, ...], value: Any) -> None:
        self[key] = value
