"""Files applied over HTTP, and users with a policy that changes."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.support.admin_calls import Keys
from tests.support.server_process import ServerProcess

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


class Answer(NamedTuple):
    """What the server answered."""

    status: int
    json: Any

    @property
    def message(self) -> str:
        """Of an error."""
        return str(self.json["message"])


def call(server: ServerProcess, caller: Keys, path: str, body: dict[str, Any], /) -> Answer:
    """The answer of `/_moorage/{path}`."""
    status, text = caller.post(server, path, body)
    return Answer(status, json.loads(text))


def apply(server: ServerProcess, caller: Keys, text: str, /, **asked: Any) -> Answer:
    """The answer of `/_moorage/apply`."""
    return call(server, caller, "apply", {"text": text, **asked})


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def grant(server: ServerProcess, account: str, name: str, *statements: Mapping[str, Any]) -> None:
    """Put these statements in the place of what the user's policy said."""
    iam = server.client("iam", account)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
