"""docs/reference/condition-keys.md has every key as the table has it, its examples are good policies, and what it
says of a key's presence is what requests at the doors show in the audit record."""

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore import UNSIGNED

from moorage.policy import Kind, parse
from moorage.policy.catalog.condition_keys import CONDITION_KEYS, ConditionKey
from moorage.policy.lint import lint
from tests.identity.credentials.oidc_tokens import ISSUER, Signer, issuers_file
from tests.support.command_line import run_moorage
from tests.support.ecr_push import push_image
from tests.support.oci_http import OciClient
from tests.support.server_process import ServerProcess

ACCOUNT = "565656565656"
ARN = f"arn:aws:iam::{ACCOUNT}"
FEDERATED = f"arn:aws:sts::{ACCOUNT}:federated-user"
PROVIDER = f"{ARN}:oidc-provider/{ISSUER.removeprefix('https://')}"
REPOSITORY = "keys/app"
MOMENT = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "condition-keys.md"
_GROUP = re.compile(r"^## (.+)$", re.MULTILINE)
_SECTION = re.compile(r"^### (\S+)\n\n(.+)\n", re.MULTILINE)
_EXAMPLE = re.compile(r"^```json (\w+)\n(.+?)\n```$", re.MULTILINE | re.DOTALL)
NOT_SET, NEVER = "Not set yet", "Never present"
ORGANIZATIONS = "Organizations"  # which there are none of here: test_organizations.py has one


class Section(NamedTuple):
    group: str
    heading: str
    line: str
    examples: list[tuple[str, str]]


def sections() -> list[Section]:
    found = []
    _, *groups = _GROUP.split(_PAGE.read_text())
    for group, body in zip(groups[::2], groups[1::2], strict=True):
        starts = list(_SECTION.finditer(body))
        ends = [*(each.start() for each in starts[1:]), len(body)]
        for each, end in zip(starts, ends, strict=True):
            found.append(Section(group, each[1], each[2], _EXAMPLE.findall(body[each.end() : end])))
    return found


def told(group: str) -> set[str]:
    """The keys that the page has in a group."""
    return {each.heading.removesuffix("KEY") for each in sections() if each.group == group}


def line_of(key: ConditionKey) -> str:
    """What the page must say of a key."""
    parts = [f"**{' or '.join(key.types)}{', several values' if key.multivalued else ''}**"]
    parts += [f"present: {key.present}", f"from: {key.source}"]
    if key.on_repository:
        parts.append("actions on a repository only")
    if key.actions is not None:
        parts.append("only " + ", ".join(f"`{action}`" for action in sorted(key.actions)))
    return " · ".join(parts)


def test_the_page_tells_every_key_as_the_table_has_it() -> None:
    page = {each.heading: each.line for each in sections()}
    assert page == {f"{key.name}KEY" if key.family else key.name: line_of(key) for key in CONDITION_KEYS.values()}
    assert told(NEVER) == {key.name for key in CONDITION_KEYS.values() if not key.populated}


@pytest.mark.parametrize("section", sections(), ids=lambda each: each.heading)
def test_the_examples_are_good_policies_about_their_key(section: Section) -> None:
    name = section.heading.removesuffix("KEY")
    assert section.examples or section.group in {NOT_SET, NEVER}
    for kind, statement in section.examples:
        text = json.dumps({"Version": "2012-10-17", "Statement": [json.loads(statement)]})
        parse(text, Kind(kind))
        assert name in statement
        errors = [each for each in lint(text, Kind(kind)).findings if str(each.severity.value).lower() == "error"]
        assert errors == []


# What the doors show

SHOWN = {
    "aws:SourceIp": r"127\.0\.0\.1",
    "aws:SecureTransport": "false",
    "aws:UserAgent": ".*Boto3.*|docker/1",
    "aws:Referer": r"https://referer\.example/",
    "aws:RequestedRegion": "us-east-1|eu-west-1|eu-central-1",
    "aws:CurrentTime": MOMENT,
    "aws:EpochTime": r"\d{10}",
    "aws:PrincipalArn": rf"{ARN}:(root|user/keyed|role/path/(keyed|web))|{FEDERATED}/(fed|cluster-a)",
    "aws:PrincipalAccount": ACCOUNT,
    "aws:PrincipalType": "Account|User|AssumedRole|FederatedUser",
    "aws:userid": rf"{ACCOUNT}(:fed|:cluster-a)?|AIDA\w+|AROA\w+:(in-role|in-web)",
    "aws:username": "keyed",
    "aws:PrincipalTag/": "blue|role-blue|session-blue",
    "aws:PrincipalIsAWSService": "false",
    "aws:ViaAWSService": "false",
    "aws:TokenIssueTime": MOMENT,
    "aws:MultiFactorAuthPresent": "false",
    "aws:SourceIdentity": "ann",
    "aws:FederatedProvider": re.escape(PROVIDER),
    "aws:ResourceAccount": ACCOUNT,
    "aws:ResourceTag/": "released|asked",
    "ecr:ResourceTag/": "released|asked",
    "aws:RequestTag/": "released|asked",
    "aws:TagKeys": "stage|gone",
    "ecr:AccountSetting": "REGISTRY_POLICY_SCOPE",
    "moorage:TokenName": "cluster-a",
}
"""What the values of each key look like in the requests below."""


def statement(actions: Any, **more: Any) -> str:
    made = {"Effect": "Allow", "Action": actions, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [made]})


def session(server: ServerProcess, made: dict[str, str], service: str = "ecr") -> Any:
    key, secret, token = (made[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    return server.client(service, key, secret, aws_session_token=token)


class Seen(NamedTuple):
    """The condition keys of one decision."""

    action: str
    values: dict[str, Any]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Seen]]:
    """What was decided on when users, roles, web identities and the root spoke to both doors."""
    directory = tmp_path_factory.mktemp("keys")
    signer = Signer("one")
    server = ServerProcess(directory / "data")
    server.start(environment={"MOORAGE_OIDC_ISSUERS": str(issuers_file(directory, signer))})
    try:
        speak(server, signer)
        yield recorded(server)
    finally:
        server.stop()


def speak(server: ServerProcess, signer: Signer) -> None:
    iam, root = server.client("iam", ACCOUNT), server.client("ecr", ACCOUNT)
    root.create_repository(repositoryName=REPOSITORY, tags=[{"Key": "stage", "Value": "released"}])
    root.create_repository(repositoryName="keys/asked", tags=[{"Key": "stage", "Value": "asked"}])
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/keys/asked"
    root.tag_resource(resourceArn=arn, tags=[{"Key": "stage", "Value": "released"}])
    root.untag_resource(resourceArn=arn, tagKeys=["gone"])
    root.get_account_setting(name="REGISTRY_POLICY_SCOPE")
    server.client("ecr", ACCOUNT, region="eu-west-1").describe_registry()
    push_image(root, REPOSITORY, "v1")

    iam.create_user(UserName="keyed", Tags=[{"Key": "team", "Value": "blue"}])
    # The clock's keys are not kept with a decision, for they are its time: what they open tells that they were there.
    clock = {"Null": {"aws:CurrentTime": "false", "aws:EpochTime": "false"}}
    everything = statement(["ecr:*", "sts:*"], Resource="*", Condition=clock)
    iam.put_user_policy(UserName="keyed", PolicyName="p", PolicyDocument=everything)
    key = iam.create_access_key(UserName="keyed")["AccessKey"]
    user = server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"])
    sts = server.client("sts", key["AccessKeyId"], key["SecretAccessKey"])
    pull(server, user)
    # The region of the path, whatever the host's is.
    assert OciClient(server, ACCOUNT)("GET", f"/v2/{ACCOUNT}/eu-central-1/keys/far/tags/list").status == 404

    trust = statement(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], Principal={"AWS": ACCOUNT})
    tags = [{"Key": "team", "Value": "role-blue"}]
    iam.create_role(RoleName="keyed", Path="/path/", AssumeRolePolicyDocument=trust, Tags=tags)
    web = statement("sts:AssumeRoleWithWebIdentity", Principal={"Federated": PROVIDER})
    iam.create_role(RoleName="web", Path="/path/", AssumeRolePolicyDocument=web)
    for role in ("keyed", "web"):
        iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=everything)
    role = f"{ARN}:role/path/keyed"
    pull(server, session(server, sts.assume_role(RoleArn=role, RoleSessionName="in-role")["Credentials"]))
    tagged = sts.assume_role(
        RoleArn=role,
        RoleSessionName="in-role",
        SourceIdentity="ann",
        Tags=[{"Key": "team", "Value": "session-blue"}],
    )
    pull(server, session(server, tagged["Credentials"]))
    session(server, sts.get_federation_token(Name="fed", Policy=everything)["Credentials"]).describe_registry()
    anonymous = server.client("sts", config={"signature_version": UNSIGNED})
    by_web = anonymous.assume_role_with_web_identity(
        RoleArn=f"{ARN}:role/path/web", RoleSessionName="in-web", WebIdentityToken=signer.token(time.time())
    )
    session(server, by_web["Credentials"]).describe_registry()

    made = run_moorage("token", "create", "cluster-a", "--repository", "keys/*", "--pull", env=as_root(server)).stdout
    pull_with(OciClient(server, "cluster-a", next(line for line in made.splitlines() if line.startswith("mrg_"))))


def as_root(server: ServerProcess) -> dict[str, str]:
    """The environment of a command that the account's root types."""
    named = {"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "x"}
    return os.environ | named | {"AWS_REGION": "us-east-1"}


def pull(server: ServerProcess, ecr: Any) -> None:
    """Over /v2/, as the caller of `ecr`."""
    sealed = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(sealed).decode().partition(":")
    pull_with(OciClient(server, user, password))


def pull_with(oci: OciClient) -> None:
    answer = oci(
        "GET",
        f"/v2/{ACCOUNT}/us-east-1/{REPOSITORY}/manifests/v1",
        user_agent="docker/1",
        referer="https://referer.example/",
    )
    assert answer.status == 200, answer


def recorded(server: ServerProcess) -> list[Seen]:
    lines = run_moorage("audit", "--json", "--since", "1h", "-n", "1000", env=as_root(server)).stdout.splitlines()
    decisions = (
        decision for line in lines for decision in json.loads(line).get("additionalEventData", {}).get("decisions", [])
    )
    # IAM and STS have keys of their own.
    return [Seen(each["action"], each["context"]) for each in decisions if each["action"].startswith("ecr:")]


def values_of(key: ConditionKey, one: Seen) -> list[Any]:
    """Every value that the decision was made on; several of a list or of a family of tags."""
    name = key.name.lower()
    at = [value for shown, value in one.values.items() if (shown.startswith(name) if key.family else shown == name)]
    return [each for value in at for each in (value if isinstance(value, list) else [value])]


@pytest.mark.parametrize("key", [key for key in CONDITION_KEYS.values() if key.name in SHOWN], ids=lambda key: key.name)
def test_what_is_said_to_be_set_is_set_at_the_doors(key: ConditionKey, seen: list[Seen]) -> None:
    values = [value for one in seen for value in values_of(key, one)]
    assert values
    strange = [value for value in values if re.fullmatch(SHOWN[key.name], str(value)) is None]
    assert strange == []
    having = [one for one in seen if values_of(key, one)]
    if key.present in {"always", "every signed request"} and key.actions is None:
        assert {one.action for one in seen} == {one.action for one in having}
    if key.actions is not None:
        asked = {f"ecr:{action}" for action in key.actions}
        assert {one.action for one in having} <= asked
    if key.on_repository:
        assert {one.action for one in having} & {"ecr:GetAuthorizationToken", "ecr:DescribeRegistry"} == set()


def test_every_key_of_the_page_is_shown_or_listed_as_not_set(seen: list[Seen]) -> None:
    populated = {key.name for key in CONDITION_KEYS.values() if key.populated}
    assert populated - told(NOT_SET) - told(ORGANIZATIONS) == set(SHOWN)
    for name in told(NOT_SET) | told(NEVER) | told(ORGANIZATIONS):
        assert [one for one in seen if values_of(CONDITION_KEYS[name], one)] == []


def test_a_role_session_differs_from_a_user_as_told(seen: list[Seen]) -> None:
    pulls = [one.values for one in seen if one.action == "ecr:BatchGetImage"]
    user = next(one for one in pulls if one["aws:principaltype"] == "User")
    plain, tagged = (one for one in pulls if one["aws:principaltype"] == "AssumedRole")
    if "aws:sourceidentity" in plain:
        plain, tagged = tagged, plain
    assert (user["aws:username"], user["aws:principaltag/team"]) == ("keyed", "blue")
    assert "aws:tokenissuetime" not in user
    assert "aws:multifactorauthpresent" not in user
    assert plain["aws:principalarn"] == f"{ARN}:role/path/keyed"
    assert "aws:username" not in plain
    assert "aws:sourceidentity" not in plain
    assert (plain["aws:principaltag/team"], tagged["aws:principaltag/team"]) == ("role-blue", "session-blue")


def test_the_region_is_that_of_the_path(seen: list[Seen]) -> None:
    (far,) = (one.values for one in seen if one.action == "ecr:ListImages")
    assert far["aws:requestedregion"] == "eu-central-1"
