"""What `moorage access` says of a caller is what the running server does with its requests."""

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from moorage.cli import app
from tests.end_to_end.test_why import Key, user
from tests.support.admin_calls import Keys
from tests.support.ecr_push import digest, push_image
from tests.support.server_process import Error, ServerProcess

MANAGEMENT, MEMBER, FELLOW = "000000000000", "777700000001", "777700000002"
OUTSIDER, STRANGER = "777700000003", "777700000004"
ORG, ROOT, UNIT = "o-agreeagree", "r-ab12", "ou-ab12-22222222"
LAYER = b"layer"
CAPABILITIES = ("pull", "push", "delete", "administer")
Statement = dict[str, Any]


def running(directory: Path, *, anonymous_pull: bool) -> ServerProcess:
    server = ServerProcess(directory / "data")
    return server.start(environment={"MOORAGE_ANONYMOUS_PULL": str(anonymous_pull).lower()})


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Without anonymous callers."""
    server = running(tmp_path_factory.mktemp("closed"), anonymous_pull=False)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """With them."""
    server = running(tmp_path_factory.mktemp("open"), anonymous_pull=True)
    yield server
    server.stop()


@dataclass(frozen=True)
class Setup:
    """What is in force, and the cells that depend on what a request brings."""

    repository: list[Statement] = field(default_factory=list)
    registry: list[Statement] = field(default_factory=list)
    scope: str = "V2"
    scps: dict[str, list[Statement]] = field(default_factory=dict)
    """By where they are attached: `owner`, `members`."""
    rcp: list[Statement] = field(default_factory=list)
    """Attached where the owner is."""
    depends: set[tuple[str, str]] = field(default_factory=set)


def allow(action: Any, principal: Any = "*", **more: Any) -> Statement:
    return {"Effect": "Allow", "Principal": principal, "Action": action, **more}


def deny(action: Any, principal: Any = "*", **more: Any) -> Statement:
    return {"Effect": "Deny", "Principal": principal, "Action": action, **more}


def everywhere(statement: Statement) -> Statement:
    """As a registry policy or RCP has it."""
    return {**statement, "Resource": "*"}


def of_account(statement: Statement) -> Statement:
    """As an SCP has it."""
    return {key: value for key, value in everywhere(statement).items() if key != "Principal"}


PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
DESTROY = ["moorage:Purge", "moorage:Restore"]
OURS = {"StringEquals": {"aws:PrincipalOrgID": ORG}}
NOT_OURS = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORG}}
IN_UNIT = {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{ORG}/{ROOT}/{UNIT}/*"}}


SETUPS: dict[str, Setup] = {
    "nothing": Setup(),
    "repository opens all": Setup([allow("ecr:*")]),
    "repository opens all by a star": Setup([allow("*")]),
    "repository opens all by what it leaves out": Setup([{"Effect": "Allow", "Principal": "*", "NotAction": PULL}]),
    "repository opens purging": Setup([allow("moorage:Purge")]),
    "repository opens Moorage's actions and denies everything": Setup(
        [allow("moorage:*"), {"Effect": "Deny", "Principal": "*", "NotAction": "moorage:ReadAccess"}]
    ),
    "registry denies Moorage's actions": Setup([allow("moorage:*")], [everywhere(deny(DESTROY))]),
    "registry grants restoring": Setup([], [everywhere(allow(["*", "moorage:Restore"]))]),
    "an RCP keeps Moorage's actions to members": Setup(
        [allow("moorage:*")], rcp=[everywhere(deny("moorage:*", Condition=NOT_OURS))]
    ),
    "an SCP of the owner denies Moorage's actions": Setup(
        [allow("moorage:*")], scps={"owner": [of_account(deny([*DESTROY, "ecr:SetRepositoryPolicy"]))]}
    ),
    "repository opens pulls to two accounts": Setup([allow(PULL, {"AWS": [MEMBER, OUTSIDER]})]),
    "registry denies pushes": Setup([allow("ecr:*")], [everywhere(deny("ecr:PutImage"))]),
    "registry grants pulls": Setup([], [everywhere(allow(PULL, {"AWS": [MEMBER, OUTSIDER]}))]),
    "registry denies signing in": Setup([allow("ecr:*")], [everywhere(deny("ecr:GetAuthorizationToken"))]),
    "registry locks out": Setup([allow("ecr:*")], [everywhere(deny("ecr:*"))]),
    "registry of scope V1": Setup([allow(PULL)], [everywhere(deny("ecr:*"))], "V1"),
    "an SCP of the owner denies deleting": Setup(
        [allow("ecr:*")],
        scps={"owner": [of_account(deny("ecr:BatchDeleteImage"))]},
    ),
    "an SCP shuts the way out, too": Setup(
        [deny("ecr:*")], scps={"owner": [of_account(deny(["ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"]))]}
    ),
    "an SCP of members denies pulling": Setup(
        [allow("ecr:*")],
        scps={"members": [of_account(deny("ecr:BatchGetImage"))]},
        depends={("fellow", each) for each in CAPABILITIES},
    ),
    "an RCP lets members alone in": Setup([allow("ecr:*")], rcp=[everywhere(deny("ecr:*", Condition=NOT_OURS))]),
    "an RCP denies setting policies to all": Setup(
        [deny("ecr:*")],
        rcp=[everywhere(deny(["ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"]))],
    ),
    "an RCP denies pushing to all": Setup([allow("ecr:*")], rcp=[everywhere(deny(["ecr:PutImage"]))]),
    "repository opens pulls to the organization": Setup(
        [allow(PULL, Condition=OURS)],
        scps={"owner": [of_account(deny("sts:AssumeRole"))]},
    ),
    "repository opens pulls to a unit": Setup([allow(PULL, Condition=IN_UNIT)], rcp=[], depends={("fellow", "pull")}),
}

WITH_ANONYMOUS = (
    "nothing",
    "repository opens all",
    "registry denies signing in",
    "registry locks out",
    "an RCP lets members alone in",
    "repository opens pulls to the organization",
)


def organization(setup: Setup, owner: str) -> str | None:
    """The document; None where the set-up has none."""
    named = json.dumps(setup.repository + setup.rcp)
    if not setup.scps and not setup.rcp and ORG not in named:
        return None
    scps = {name: {"Version": "2012-10-17", "Statement": statements} for name, statements in setup.scps.items()}

    def account(name: str, kind: str, **more: Any) -> dict[str, Any]:
        own = {"serviceControlPolicies": ["FullAWSAccess", kind]} if kind in scps else {}
        return {"id": name, **own, **more}

    guarded = {"resourceControlPolicies": ["Perimeter"]} if setup.rcp else {}
    unit = {"id": UNIT, "accounts": [account(MEMBER, "members"), account(FELLOW, "members")]}
    accounts = [{"id": MANAGEMENT}, account(owner, "owner", **guarded)]
    document = {
        "id": ORG,
        "managementAccount": MANAGEMENT,
        "serviceControlPolicies": scps,
        "root": {"id": ROOT, "accounts": accounts, "units": [unit]},
    }
    if setup.rcp:
        document["resourceControlPolicies"] = {"Perimeter": {"Version": "2012-10-17", "Statement": setup.rcp}}
    return json.dumps(document)


def allowed(ask: Callable[..., Any], **arguments: Any) -> bool:
    """Whether it got past the decision; what becomes of the request then is another matter."""
    try:
        ask(**arguments)
    except Error as error:
        return "AccessDenied" not in error.response["Error"]["Code"]
    return True


def allowed_here(key: Key, path: str, owner: str, **body: str) -> bool:
    """The same of a call of the administration door."""
    asked = {"repository": "agree/app", "account": owner, **body}
    _, text = Keys(key.name, key.secret).post(key.server, path, asked)
    return "AccessDenied" not in text


def does(key: Key, owner: str, policy: str) -> list[str]:
    """What the server lets this caller do."""
    ecr = key.client("ecr")
    here = {"registryId": owner, "repositoryName": "agree/app"}
    arn = f"arn:aws:ecr:us-east-1:{owner}:repository/agree/app"
    layer = digest(LAYER + b"agree/app")
    signs_in = allowed(ecr.get_authorization_token)
    upload = {**here, "uploadId": "00000000-0000-4000-8000-000000000000"}
    pull = [
        signs_in,
        allowed(ecr.batch_get_image, **here, imageIds=[{"imageTag": "v1"}]),
        allowed(ecr.get_download_url_for_layer, **here, layerDigest=layer),
    ]
    push = [
        signs_in,
        allowed(ecr.batch_check_layer_availability, **here, layerDigests=[layer]),
        allowed(ecr.initiate_layer_upload, **here),
        allowed(ecr.upload_layer_part, **upload, partFirstByte=0, partLastByte=0, layerPartBlob=b"x"),
        allowed(ecr.complete_layer_upload, **upload, layerDigests=[layer]),
        allowed(ecr.put_image, **here, imageManifest="{}"),
    ]
    delete = [allowed(ecr.batch_delete_image, **here, imageIds=[{"imageTag": "none"}])]
    administer = [
        allowed(ecr.set_repository_policy, **here, policyText=policy, force=True),
        allowed(ecr.delete_repository, **here),
        allowed(ecr.put_image_tag_mutability, **here, imageTagMutability="MUTABLE"),
        allowed(ecr.tag_resource, resourceArn=arn, tags=[{"Key": "a", "Value": "b"}]),
        allowed(ecr.untag_resource, resourceArn=arn, tagKeys=["a"]),
        allowed_here(key, "purge", owner, digest=digest(b"none")),
        allowed_here(key, "restore", owner, tag="none"),
    ]
    told = (all(pull), all(push), all(delete), any(administer))
    return ["yes" if each else "no" for each in told]


def does_anonymously(server: ServerProcess, owner: str) -> list[str]:
    """The same of somebody without credentials."""

    def status(method: str, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, f"/v2/{owner}/us-east-1/agree/app/{path}")
            return connection.getresponse().status

    layer = digest(LAYER + b"agree/app")
    told = (
        status("GET", "manifests/v1") == status("GET", f"blobs/{layer}") == 200,
        status("POST", "blobs/uploads/") == 202,
        status("DELETE", "manifests/none") != 401,
        False,  # the API takes no request without a signature
    )
    return ["yes" if each else "no" for each in told]


def put_in_force(server: ServerProcess, setup: Setup, owner: str) -> str:
    """All but the organization; a repository policy that can be set again and changes nothing."""
    ecr = server.client("ecr", owner)
    ecr.create_repository(repositoryName="agree/app")
    push_image(ecr, "agree/app", "v1", content=LAYER)
    text = json.dumps({"Version": "2012-10-17", "Statement": setup.repository or [deny("ecr:ReplicateImage")]})
    ecr.set_repository_policy(repositoryName="agree/app", policyText=text, force=True)
    if setup.registry:
        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value=setup.scope)
        ecr.put_registry_policy(policyText=json.dumps({"Version": "2012-10-17", "Statement": setup.registry}))
    return text


def command(key: Key, *arguments: str) -> str:
    """What a command prints, run in this process: the shorter way, many times over."""
    environment = {"AWS_ENDPOINT_URL": key.server.url, "AWS_REGION": "us-east-1"}
    environment |= {"AWS_ACCESS_KEY_ID": key.name, "AWS_SECRET_ACCESS_KEY": key.secret}
    done = CliRunner().invoke(app, list(arguments), env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


def answers(row: dict[str, Any]) -> list[str]:
    return [row["cells"][each]["answer"] for each in CAPABILITIES]


def compare(server: ServerProcess, tmp_path: Path, name: str) -> None:
    """Put it all in force; ask the matrix, the view of a principal, and the server."""
    setup = SETUPS[name]
    owner = f"7777000001{list(SETUPS).index(name):02}"
    secret = server.client("iam", owner).create_access_key()["AccessKey"]
    root = Key(server, secret["AccessKeyId"], secret["SecretAccessKey"])
    puller = user(server, owner, "puller", "ecr:GetAuthorizationToken", *PULL)
    master = user(server, owner, "master", "ecr:*")
    policy = put_in_force(server, setup, owner)
    document = organization(setup, owner)
    try:
        if document is not None:
            file = tmp_path / "organization.json"
            file.write_text(document)
            command(Key(server, MANAGEMENT), "organization", "set", str(file))
        rows = {row["who"]: row for row in json.loads(command(root, "access", "agree/app", "--json"))["rows"]}
        told = {
            "root": (rows[f"arn:aws:iam::{owner}:root"], root),
            "puller": (rows[f"arn:aws:iam::{owner}:user/puller"], puller),
            "master": (rows[f"arn:aws:iam::{owner}:user/master"], master),
        }
        for who, account in (("member", MEMBER), ("outsider", OUTSIDER)):
            (row,) = json.loads(command(root, "access", "--principal", account, "--json"))["rows"]
            told[who] = (row, Key(server, account))
            assert answers(rows.get(row["who"], row)) == answers(row)
        if document is None:
            told["stranger"] = (rows["any other account"], Key(server, STRANGER))
        else:
            told["stranger"] = (rows["any other account outside the organization"], Key(server, STRANGER))
            told["fellow"] = (rows["any other account of the organization"], Key(server, FELLOW))
        depending = set()
        for who, (row, key) in told.items():
            done = does(key, owner, policy)
            for capability, answer, real in zip(CAPABILITIES, answers(row), done, strict=True):
                if answer == "depends":
                    depending.add((who, capability))
                else:
                    assert answer == real, (who, capability)
        assert depending == setup.depends
        assert answers(rows["anonymous"]) == does_anonymously(server, owner)
    finally:
        if document is not None:
            command(Key(server, MANAGEMENT), "organization", "remove", "--yes")


@pytest.mark.parametrize("name", SETUPS)
def test_the_matrix_is_what_the_server_does(closed: ServerProcess, tmp_path: Path, name: str) -> None:
    compare(closed, tmp_path, name)


@pytest.mark.parametrize("name", WITH_ANONYMOUS)
def test_so_it_is_where_nobody_need_sign_in(open_to_all: ServerProcess, tmp_path: Path, name: str) -> None:
    compare(open_to_all, tmp_path, name)
