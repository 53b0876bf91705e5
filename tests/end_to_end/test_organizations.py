"""The organization over its command, and its guard rails obeyed on both doors on the very next request."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run_moorage
from tests.support.ecr_push import push_image
from tests.support.oci_http import OciClient
from tests.support.server_process import Error, ServerProcess

MANAGEMENT, MEMBER, OUTSIDER = "000000000000", "333344445555", "666677778888"
ROUNDS = 8
SCP = {"Version": "2012-10-17", "Statement": {"Sid": "S", "Effect": "Deny", "Action": "ecr:PutImage", "Resource": "*"}}
RCP = {
    "Version": "2012-10-17",
    "Statement": {
        "Sid": "Perimeter",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "ecr:BatchGetImage",
        "Resource": "*",
        "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-moorage000"}},
    },
}
UNIT: dict[str, Any] = {"id": "ou-ab12-11111111", "accounts": [{"id": MEMBER}]}
GUARDED = {"serviceControlPolicies": ["FullAWSAccess", "NoPush"], "resourceControlPolicies": ["Perimeter"]}


def document(**unit: Any) -> str:
    return json.dumps(
        {
            "id": "o-moorage000",
            "managementAccount": MANAGEMENT,
            "serviceControlPolicies": {"NoPush": SCP},
            "resourceControlPolicies": {"Perimeter": RCP},
            "root": {"id": "r-ab12", "accounts": [{"id": MANAGEMENT}], "units": [{**UNIT, **unit}]},
        }
    )


@pytest.fixture(scope="module")
def server(database_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two workers over each kind of database."""
    running = ServerProcess(
        tmp_path_factory.mktemp("organizations") / "data", "--workers", "2", *database_options
    ).start()
    yield running
    running.stop()


def moorage(server: ServerProcess, *arguments: str, key: str = MANAGEMENT) -> "subprocess.CompletedProcess[str]":
    return run_moorage(*arguments, env=server.environment(key), check=False)


def test_guard_rails_bind_both_doors_in_every_worker_at_once(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "organization.json"
    member, outsider = server.client("ecr", MEMBER), OciClient(server, OUTSIDER)
    member.create_repository(repositoryName="guarded")
    pushed = push_image(member, "guarded", "v1")
    everyone = {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}}
    member.set_repository_policy(repositoryName="guarded", policyText=json.dumps(everyone))
    path = f"/v2/{MEMBER}/us-east-1/guarded/manifests"
    own = OciClient(server, MEMBER)
    manifest = own("GET", f"{path}/v1")
    assert outsider("GET", f"{path}/v1").status == 200
    assert pushed

    file.write_text(document(**GUARDED))
    assert moorage(server, "organization", "set", str(file)).returncode == 0
    for _ in range(ROUNDS):
        refused = outsider("GET", f"{path}/v1")
        assert refused.status == 403
        assert b"with an explicit deny in a resource control policy" in refused.body
        assert own("GET", f"{path}/v1").status == 200
        push = own("PUT", f"{path}/v2", manifest.body, content_type=manifest.headers["content-type"])
        assert push.status == 403
        assert b"ecr:PutImage" in push.body
        assert b"with an explicit deny in a service control policy" in push.body
    with pytest.raises(Error) as denied:
        member.put_image(repositoryName="guarded", imageManifest=manifest.body.decode(), imageTag="v3")
    sentence = (
        f"User: arn:aws:iam::{MEMBER}:root is not authorized to perform: ecr:PutImage on resource: "
        f"arn:aws:ecr:us-east-1:{MEMBER}:repository/guarded with an explicit deny in a service control policy"
    )
    assert denied.value.response["Error"] == {"Code": "AccessDeniedException", "Message": sentence}

    decision = denied.value.response["ResponseMetadata"]["RequestId"]
    told = json.loads(moorage(server, "why", decision, "--json", key=MEMBER).stdout)
    scps = [[each["name"] for each in one["policies"]] for one in told["sets"] if one["set"] == "scp"]
    assert scps == [
        ["FullAWSAccess (r-ab12)"],
        ["FullAWSAccess (ou-ab12-11111111)", "NoPush (ou-ab12-11111111)"],
        [f"FullAWSAccess ({MEMBER})"],
    ]
    assert [one["set"] for one in told["sets"]].count("rcp") == 3
    assert told["decidedBy"] == "scp"

    shown = moorage(server, "organization", "show")
    assert json.loads(shown.stdout) == json.loads(file.read_text())
    assert moorage(server, "organization", "remove", "--yes").returncode == 0
    for _ in range(ROUNDS):
        assert outsider("GET", f"{path}/v1").status == 200
    lines = moorage(server, "organization", "history").stdout.splitlines()
    assert json.loads(lines[0])["document"] is None
    assert json.loads(lines[1])["by"] == f"arn:aws:iam::{MANAGEMENT}:root"


def test_no_other_account_may_set_it(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "organization.json"
    file.write_text(document())
    refused = moorage(server, "organization", "set", str(file), key=OUTSIDER)
    assert refused.returncode == 1
    assert "is not authorized to perform: moorage:PutOrganization" in refused.stderr


def test_a_wrong_document_is_refused_with_its_place(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "organization.json"
    file.write_text(document(serviceControlPolicies=["Nowhere"]))
    for command in (["check"], ["set"]):
        refused = moorage(server, "organization", *command, str(file))
        assert refused.returncode == 1
        assert "$.root.units[0].serviceControlPolicies[0]: there is no policy 'Nowhere'" in refused.stderr
    assert moorage(server, "organization", "show").returncode == 1


def test_a_new_document_can_be_set(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "organization.json"
    file.write_text(moorage(server, "organization", "new", MANAGEMENT).stdout)
    assert moorage(server, "organization", "check", str(file)).returncode == 0


def test_the_operator_sets_and_ends_it_on_the_host(tmp_path: Path) -> None:
    running = ServerProcess(tmp_path / "data").start()
    try:
        file = tmp_path / "organization.json"
        file.write_text(document(**GUARDED))
        member = running.client("ecr", MEMBER)
        member.create_repository(repositoryName="hosted")
        host = ("--on-host", "--data", str(running.data))
        run_moorage("organization", "set", str(file), *host)
        with pytest.raises(Error, match="service control policy"):
            push_image(member, "hosted", "v1")
        run_moorage("organization", "remove", "--yes", *host)
        member.create_repository(repositoryName="free")
        push_image(member, "free", "v1")
        told = moorage(running, "audit", "--json", "--since", "1h", "--action", "*Organization").stdout
        assert [(each["eventName"], each["additionalEventData"]) for each in map(json.loads, told.splitlines())] == [
            ("PutOrganization", {"onHost": True}),
            ("DeleteOrganization", {"onHost": True}),
        ]
    finally:
        running.stop()
