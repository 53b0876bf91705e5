"""A client of IAM and STS through the AWS door: real keys and signatures; answers read by botocore's own parser."""

from typing import Any
from urllib.parse import urlencode

import botocore.session
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from moorage.api.asgi import Message
from moorage.api.aws.app import AwsApp
from moorage.identity.identity import Identity
from moorage.names import AccountId
from tests.api.aws.test_sigv4 import signed

OWNER = AccountId("012345678910")
ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
MODELS = {name: botocore.session.get_session().get_service_model(name) for name in VERSIONS}


def _form(service: str, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Members of the operation as botocore writes them into a form; anything else as it is."""
    if operation not in MODELS[service].operation_names:
        return fields
    model = MODELS[service].operation_model(operation)
    known = {} if model.input_shape is None else model.input_shape.members
    members = {name: value for name, value in fields.items() if name in known}
    body = create_serializer("query", include_validation=False).serialize_to_request(members, model)["body"]
    return {**{name: value for name, value in fields.items() if name not in known}, **body}


class NoAudit:
    """An audit store that keeps nothing."""

    async def append(self, _rows: list[dict[str, Any]]) -> None:
        return


class QueryClient:
    """Calls the door with one key."""

    def __init__(self, door: AwsApp, identity: Identity, key: str, secret: str, token: str | None = None) -> None:
        self.door = door
        self.identity = identity
        self._credentials = (key, secret, token)

    def as_key(self, key: str, secret: str, token: str | None = None) -> "QueryClient":
        return QueryClient(self.door, self.identity, key, secret, token)

    async def send(self, service: str, operation: str, fields: dict[str, Any]) -> tuple[int, bytes]:
        key, secret, token = self._credentials
        given = _form(service, operation, fields)
        body = urlencode({"Action": operation, "Version": VERSIONS[service], **given}).encode()
        form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        scope, _ = signed(
            "http://localhost:4580/", headers=form, body=body, key=key, secret=secret, token=token, service=service
        )
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.door({**scope, "client": ("127.0.0.1", 5)}, receive, send)
        return sent[0]["status"], sent[1]["body"]

    async def parsed(self, service: str, operation: str, fields: dict[str, Any]) -> tuple[int, Any]:
        status, body = await self.send(service, operation, fields)
        shape = MODELS[service].operation_model(operation).output_shape
        answer = create_parser("query").parse({"status_code": status, "headers": {}, "body": body}, shape)
        assert answer["ResponseMetadata"]["RequestId"]
        return status, answer

    async def ok(self, operation: str, service: str = "iam", **fields: Any) -> Any:
        status, answer = await self.parsed(service, operation, fields)
        assert status == 200, answer
        return answer

    async def refused(self, operation: str, service: str = "iam", **fields: Any) -> tuple[int, str, str]:
        status, answer = await self.parsed(service, operation, fields)
        assert status >= 400, answer
        return status, answer["Error"]["Code"], answer["Error"]["Message"]

    async def user(self, name: str, policy: str | None = None, path: str = "/") -> "QueryClient":
        """A client with a new key of a new user."""
        await self.ok("CreateUser", UserName=name, Path=path)
        if policy is not None:
            await self.ok("PutUserPolicy", UserName=name, PolicyName="p", PolicyDocument=policy)
        key = (await self.ok("CreateAccessKey", UserName=name))["AccessKey"]
        return self.as_key(key["AccessKeyId"], key["SecretAccessKey"])
