"""`moorage token`: made once, used by any client of the data plane, in the audit record, refused once revoked."""

import json
import os
from typing import Any

import pytest

from tests.support.command_line import run_moorage
from tests.support.ecr_push import push_image
from tests.support.oci_http import OciClient
from tests.support.server_process import ServerProcess

ACCOUNT = "343434343434"


class Commands:
    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.key, self.secret = ACCOUNT, "test"

    def __call__(self, *arguments: str, status: int = 0) -> str:
        environment = os.environ | {
            "AWS_ENDPOINT_URL": self._server.url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "COLUMNS": "160",
        }
        done = run_moorage(*arguments, check=False, env=environment)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    def make(self, *arguments: str) -> str:
        return self("token", "create", *arguments).strip()


@pytest.fixture
def moorage(server: ServerProcess) -> Commands:
    return Commands(server)


@pytest.fixture(scope="module")
def iam(server: ServerProcess) -> Any:
    iam, ecr = server.client("iam", ACCOUNT), server.client("ecr", ACCOUNT)
    for name in ("team/app", "other/app"):
        ecr.create_repository(repositoryName=name)
        push_image(ecr, name, "v1")
    iam.create_user(UserName="ann")
    everything = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}
    mine = {"Effect": "Allow", "Action": "moorage:*", "Resource": "arn:aws:iam::*:user/${aws:username}"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything, mine]})
    iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=document)
    return iam


def path(repository: str) -> str:
    return f"/v2/{ACCOUNT}/us-east-1/{repository}/manifests/v1"


@pytest.mark.usefixtures("iam")
def test_a_token_pulls_what_it_is_for_until_it_is_revoked(server: ServerProcess, moorage: Commands) -> None:
    password = moorage.make("e2e", "--repository", "team/*", "--pull", "--expires", "30d", "--user", "ann")
    assert password.startswith("mrg_")
    oci = OciClient(server, "e2e", password)
    assert oci("GET", "/v2/").status == 200
    assert oci("GET", path("team/app")).status == 200
    refused = oci("GET", path("other/app"))
    assert refused.status == 403
    assert b"with an explicit deny in a session policy" in refused.body
    listed = moorage("token", "list")
    assert all(word in listed for word in ("e2e", "user/ann", "team/*", "pull"))
    assert moorage("token", "revoke", "e2e") == "token e2e is revoked\n"
    assert oci("GET", path("team/app")).status == 401
    assert "e2e" not in moorage("token", "list")
    assert "revoked" in moorage("token", "list", "--all")


@pytest.mark.usefixtures("iam")
def test_why_explains_what_a_token_may_not(server: ServerProcess, moorage: Commands) -> None:
    oci = OciClient(server, "x", moorage.make("why", "-r", "team/*", "--pull", "--user", "ann"))
    decision = oci("GET", path("other/app")).headers["x-moorage-decision-id"]
    explained = moorage("why", decision)
    assert "NoOtherRepository" in explained
    assert "scope of token why" in explained
    assert "outside the scope of token why, which cannot be changed; create another token:" in explained
    assert "moorage token create NAME --repository other/app --pull" in explained
    assert "changes that would allow it" not in explained
    decision = oci("POST", f"/v2/{ACCOUNT}/us-east-1/team/app/blobs/uploads/").headers["x-moorage-decision-id"]
    assert "moorage token create NAME --repository team/app --push" in moorage("why", decision)


@pytest.mark.usefixtures("iam")
def test_the_audit_record_names_the_token_and_not_its_secret(server: ServerProcess, moorage: Commands) -> None:
    password = moorage.make("audited", "-r", "team/app", "--pull", "--user", "ann")
    assert OciClient(server, "x", password)("GET", path("team/app")).status == 200
    record = moorage("audit", "--since", "10m", "--json")
    events = [json.loads(line) for line in record.splitlines()]
    pulls = [each for each in events if each["eventName"] == "BatchGetImage"]
    assert any(each["userIdentity"].get("sessionContext", {}).get("pullToken") == "audited" for each in pulls)
    assert any(each["eventName"] == "CreatePullToken" for each in events)
    assert password.split("_", 2)[2] not in record


@pytest.mark.usefixtures("server")
def test_a_user_makes_tokens_of_its_own_alone(moorage: Commands, iam: Any) -> None:
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    iam.create_user(UserName="bob")
    moorage.key, moorage.secret = key["AccessKeyId"], key["SecretAccessKey"]
    moorage.make("anns", "-r", "team/app", "--push")
    assert "anns" in moorage("token", "list", "--user", "ann")
    for arguments in (
        ("create", "bobs", "-r", "team/app", "--pull", "--user", "bob"),
        ("list",),
        ("list", "--user", "bob"),
    ):
        assert "not authorized to perform: moorage:" in moorage("token", *arguments, status=1)
    assert moorage("token", "revoke", "anns") == "token anns is revoked\n"


@pytest.mark.usefixtures("iam")
def test_what_cannot_be_made_says_why(moorage: Commands) -> None:
    assert "--pull, --push and --action" in moorage("token", "create", "no", "-r", "app", status=2)
    assert "is no name of a token" in moorage("token", "create", "a:b", "-r", "app", "--pull", status=1)
    assert "from a minute to ten years" in moorage(
        "token", "create", "no", "-r", "a", "--pull", "--expires", "5s", status=1
    )
    assert "is no action of ECR" in moorage("token", "create", "no", "-r", "app", "--action", "s3:GetObject", status=1)
    assert "cannot be found" in moorage("token", "create", "no", "-r", "app", "--pull", "--user", "nobody", status=1)
    assert "There is no token 'no'" in moorage("token", "revoke", "no", status=1)


@pytest.mark.usefixtures("iam")
def test_who_holds_a_token_may_ask_what_it_is_worth(server: ServerProcess, moorage: Commands) -> None:
    oci = OciClient(server, "x", moorage.make("asked", "-r", "team/app", "--pull", "--user", "ann"))
    told = json.loads(oci("GET", "/_moorage/password").body)
    assert (told["state"], told["arn"]) == ("valid", f"arn:aws:iam::{ACCOUNT}:user/ann")
    moorage("token", "revoke", "asked")
    assert json.loads(oci("GET", "/_moorage/password").body)["state"] == "revoked"


def test_an_empty_user_name_is_nobody_in_dev_mode(server: ServerProcess) -> None:
    """skopeo and podman send `Og==` when nobody is logged in."""
    nobody = OciClient(server, "", "")
    assert nobody("GET", "/v2/").status == 401
    assert nobody("POST", "/v2/anything/blobs/uploads/").status == 401
