"""Signed calls of `/_moorage/`, and users with a key and one policy."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from moorage.login.keys import Key
from moorage.login.signing import sign
from tests.running import RunningServer

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


class Answer(NamedTuple):
    """What the server answered."""

    status: int
    json: Any

    @property
    def message(self) -> str:
        """Of an error."""
        return str(self.json["message"])


def call(server: RunningServer, key: Key, path: str, content: Mapping[str, Any] | bytes) -> Answer:
    """POST `content` to `path`, signed with `key`."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = sign(key, "POST", f"{server.url}{path}", body, region="us-east-1", service="moorage")
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)
    try:
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, json.loads(answer.read()))
    finally:
        connection.close()


def apply(server: RunningServer, key: Key, text: str, **asked: Any) -> Answer:
    """`POST /_moorage/apply`."""
    return call(server, key, "/_moorage/apply", {"text": text, **asked})


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def new_user(server: RunningServer, account: str, name: str, *statements: Mapping[str, Any]) -> Key:
    """A user of the account with a key, and a policy of these statements."""
    iam = server.client("iam", account)
    iam.create_user(UserName=name)
    grant(server, account, name, *statements)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return Key(made["AccessKeyId"], made["SecretAccessKey"])


def grant(server: RunningServer, account: str, name: str, *statements: Mapping[str, Any]) -> None:
    """Put these statements in the place of what the user's policy said."""
    server.client("iam", account).put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
