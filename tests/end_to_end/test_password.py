"""Who holds a registry password may ask what it is worth, and nobody else."""

import base64
import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from moorage import __version__
from tests.support.server_process import ServerProcess


def basic(credential: str) -> str:
    return "Basic " + base64.b64encode(credential.encode()).decode()


def asked(server: ServerProcess, authorization: str | None, **headers: str) -> tuple[int, dict[str, Any]]:
    sent = headers if authorization is None else headers | {"Authorization": authorization}
    request = urllib.request.Request(f"{server.url}/_moorage/password", headers=sent)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_password_made_here(server: ServerProcess) -> None:
    data = server.client("ecr", "123456789012").get_authorization_token()["authorizationData"][0]
    status, said = asked(server, f"Basic {data['authorizationToken']}")
    assert status == 200
    assert abs(said.pop("expiresAt") - data["expiresAt"].timestamp()) < 1
    assert said == {
        "state": "valid",
        "arn": "arn:aws:iam::123456789012:root",
        "keyId": "123456789012",
        "version": __version__,
        "mode": "dev",
    }


def test_an_open_key_never_ends(server: ServerProcess) -> None:
    status, said = asked(server, basic("test:any"))
    assert (status, said["state"], said["expiresAt"]) == (200, "valid", None)


def test_one_made_with_a_session_ends_with_it(server: ServerProcess) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="session-password")
    key = iam.create_access_key(UserName="session-password")["AccessKey"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="session-password", PolicyName="p", PolicyDocument=json.dumps(policy))
    pair = (key["AccessKeyId"], key["SecretAccessKey"])
    session = server.client("sts", *pair).get_session_token(DurationSeconds=900)["Credentials"]
    ecr = server.client(
        "ecr", session["AccessKeyId"], session["SecretAccessKey"], aws_session_token=session["SessionToken"]
    )
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    _, said = asked(server, f"Basic {token}")
    assert said["arn"].endswith("user/session-password")
    assert said["expiresAt"] - time.time() < 1000


@pytest.mark.parametrize("authorization", [None, basic("AWS:" + "x" * 60), basic("AWS"), "Bearer x", "Basic !"])
def test_anything_else_is_refused(server: ServerProcess, authorization: str | None) -> None:
    status, said = asked(server, authorization)
    assert (status, said["__type"]) == (401, "UNAUTHORIZED")


def test_a_web_page_cannot_ask(server: ServerProcess) -> None:
    status, _ = asked(server, basic("test:any"), Origin="https://evil.example.com")
    assert status == 403
