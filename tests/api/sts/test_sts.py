"""STS through the AWS door: the order and the texts of its refusals."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from moorage.api.asgi import Message
from tests.support.query_client import OWNER, QueryClient

CASE_INSENSITIVE = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
NOT_INCLUDED = "The specified transitive tag key must be included in the requested tags."
CONFLICT = (
    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the"
    " calling session."
)
ROLE = f"arn:aws:iam::{OWNER}:role/r"
SAML = {
    "RoleArn": ROLE,
    "PrincipalArn": f"arn:aws:iam::{OWNER}:saml-provider/idp",
    "SAMLAssertion": base64.b64encode(b"<samlp:Response/>").decode(),
}


def tags(*keys: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": "x"} for key in keys]


@pytest.fixture
async def ann(root: QueryClient) -> QueryClient:
    """A user who may assume the role `r`, which may assume itself, with tags."""
    allow = {"Effect": "Allow", "Action": ["sts:*"], "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    trust = {"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    trusted = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=trusted)
    await root.ok("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=text)
    return await root.user("ann", text)


async def assumed(client: QueryClient, **fields: Any) -> QueryClient:
    answer = await client.ok("AssumeRole", "sts", RoleArn=ROLE, RoleSessionName="me", **fields)
    made = answer["Credentials"]
    return client.as_key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


async def refused(client: QueryClient, **fields: Any) -> tuple[int, str, str]:
    return await client.refused("AssumeRole", "sts", RoleArn=ROLE, RoleSessionName="me", **fields)


async def test_tag_keys_are_compared_without_case(ann: QueryClient) -> None:
    bad = (400, "InvalidParameterValue")
    for keys in (("team", "team"), ("team", "TEAM")):
        assert await refused(ann, Tags=tags(*keys)) == (*bad, CASE_INSENSITIVE)
    assert await refused(ann, Tags=tags("team"), TransitiveTagKeys=["stage"]) == (*bad, NOT_INCLUDED)
    assert await refused(ann, TransitiveTagKeys=["team"]) == (*bad, NOT_INCLUDED)
    session = await assumed(ann, Tags=tags("Team", "stage"), TransitiveTagKeys=["tEAM", "TEAM"])
    assert await refused(session, Tags=tags("team")) == (*bad, CONFLICT)
    assert await refused(session, Tags=tags("team"), TransitiveTagKeys=["Team"]) == (*bad, CONFLICT)
    # The key that was named in another case is inherited; the other one is not.
    last = await assumed(session, Tags=tags("stage"))
    assert await refused(last, Tags=tags("TEAM")) == (*bad, CONFLICT)
    await assumed(last, Tags=tags("stage"))


async def test_a_bad_session_name_is_reported_before_a_bad_arn(ann: QueryClient) -> None:
    for arn in ("arn:aws:iam::000000000000:user/x", "short"):
        status, code, message = await ann.refused("AssumeRole", "sts", RoleArn=arn, RoleSessionName="a b")
        assert (status, code) == (400, "ValidationError")
        assert "Value 'a b' at 'roleSessionName' failed to satisfy constraint" in message
        status, code, message = await ann.refused("AssumeRole", "sts", RoleArn=arn, RoleSessionName="me")
        assert (status, code) == (400, "ValidationError")
        assert arn in message


async def test_a_session_policy_has_the_length_of_the_service_model(ann: QueryClient) -> None:
    short = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}
    fits = json.dumps(short).ljust(2048)
    await ann.ok("GetFederationToken", "sts", Name="guest", Policy=fits)
    status, code, message = await ann.refused("GetFederationToken", "sts", Name="guest", Policy=f"{fits} ")
    assert (status, code) == (400, "ValidationError")
    assert message == (
        f"1 validation error detected: Value '{fits} ' at 'policy' failed to satisfy constraint:"
        " Member must have length less than or equal to 2048"
    )
    # The model of AssumeRole has no such limit.
    assert (await refused(ann, Policy=f"{fits} "))[:2] == (400, "PackedPolicyTooLarge")


async def unsigned(client: QueryClient, **fields: str) -> tuple[int, bytes]:
    body = urlencode({"Action": "AssumeRoleWithSAML", "Version": "2011-06-15", **fields}).encode()
    headers = [(b"host", b"localhost:4580"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "scheme": "http"}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await client.door({**scope, "headers": headers, "client": ("127.0.0.1", 5)}, receive, send)
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({}, "InvalidIdentityToken", "Specified provider doesn't exist"),
        ({"SAMLAssertion": "<xml>"}, "InvalidIdentityToken", "Invalid base64 SAMLResponse"),
        ({"RoleArn": f"arn:aws:iam::{OWNER}:user/x"}, "ValidationError", "is invalid"),
        ({"PrincipalArn": "short"}, "ValidationError", "at 'principalArn'"),
        ({"SAMLAssertion": "abc"}, "ValidationError", "Value at 'sAMLAssertion' failed"),
        ({"Policy": "x" * 2049}, "ValidationError", "at 'policy'"),
        ({"DurationSeconds": "899"}, "ValidationError", "at 'durationSeconds'"),
    ],
)
async def test_saml_is_answered_as_by_an_account_without_providers(
    root: QueryClient, fields: dict[str, str], code: str, text: str
) -> None:
    status, body = await unsigned(root, **{**SAML, **fields})
    assert status == 400
    assert f"<Code>{code}</Code>".encode() in body
    assert text.encode() in body
    for member in SAML:
        rest = {name: value for name, value in SAML.items() if name != member}
        assert b"<Code>ValidationError</Code>" in (await unsigned(root, **rest))[1]
