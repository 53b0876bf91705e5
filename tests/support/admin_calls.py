"""Signed calls of the administration door, as somebody who knows the protocol and not the command line makes them."""

import http.client
import json
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.server_process import ServerProcess


class Keys(NamedTuple):
    """A key with its secret. Those of dev mode, twelve digits, are the root of that account."""

    id: str
    secret: str = "any"
    token: str | None = None

    def client(self, server: ServerProcess, service: str) -> Any:
        """A boto3 client with these keys."""
        return server.client(service, self.id, self.secret, aws_session_token=self.token)

    def post(self, server: ServerProcess, path: str, body: dict[str, Any]) -> tuple[int, str]:
        """The status and text that a signed POST to `/_moorage/{path}` is answered with."""
        url = f"{server.url}/_moorage/{path}"
        request = AWSRequest("POST", url, data=json.dumps(body).encode())
        SigV4Auth(Credentials(self.id, self.secret, self.token), "moorage", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        try:
            connection.request("POST", f"/_moorage/{path}", request.body, dict(request.headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


def keys_of(answer: dict[str, Any]) -> Keys:
    """The credentials in an answer of STS."""
    given = answer["Credentials"]
    return Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def user(server: ServerProcess, account: str, name: str, *statements: dict[str, Any]) -> Keys:
    """A user of that account with an inline policy of these statements, if any, and a key."""
    iam = server.client("iam", account)
    iam.create_user(UserName=name)
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Keys(key["AccessKeyId"], key["SecretAccessKey"])
