"""`moorage apply` and `moorage export`: what a file says is made, made once, shown first, and told again."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.apply_calls import apply, call
from tests.end_to_end.workspace import Workspace
from tests.support.admin_calls import Keys
from tests.support.ecr_push import push_image
from tests.support.server_process import Error, ServerProcess


@pytest.fixture(scope="module")
def server(database_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("apply") / "data", *database_options).start()
    yield running
    running.stop()


EVERYTHING = """\
    policies:
      pulls:
        description: what nodes need
        tags: {team: base}
        document:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], Resource: "*"}]
    groups:
      nodes:
        attached: [pulls, "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"]
        inline:
          own:
            Version: "2012-10-17"
            Statement: [{Effect: Allow, Action: "ecr:DescribeImages", Resource: "*"}]
    users:
      node-1:
        path: /nodes/
        groups: [nodes]
        boundary: pulls
        tags: {rack: "7"}
    roles:
      a-second:
        trust:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::ACCOUNT:role/first"}, Action: "sts:AssumeRole"}]
      first:
        trust:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {AWS: "arn:aws:iam::ACCOUNT:user/nodes/node-1"}
              Action: sts:AssumeRole
        max_session_seconds: 7200
        attached: [pulls]
    repositories:
      us-east-1:
        team/app:
          mutability: IMMUTABLE
          tags: {team: base}
          policy:
            Version: "2012-10-17"
            Statement:
              - Sid: Nodes
                Effect: Allow
                Principal: {AWS: "arn:aws:iam::ACCOUNT:user/nodes/node-1"}
                Action: ecr:BatchGetImage
      eu-west-1:
        team/far: {}
    registries:
      us-east-1:
        policy:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {AWS: "arn:aws:iam::ACCOUNT:user/nodes/node-1"}
              Action: ecr:BatchGetImage
              Resource: "*"
      eu-west-1:
        policy_scope: V1
"""


@pytest.fixture
def workspace(server: ServerProcess, tmp_path: Path, request: pytest.FixtureRequest) -> Workspace:
    """Of an account of its own for each test."""
    number = sum(map(ord, request.node.name)) % 10**6
    return Workspace(server, tmp_path, f"78{number:010d}")


def test_a_file_is_shown_applied_once_and_exported(server: ServerProcess, workspace: Workspace) -> None:
    workspace.write(EVERYTHING)
    planned = workspace("apply", "file.yaml", "--dry-run")
    assert "+ users/node-1" in planned
    assert "9 would change" in planned
    iam = server.client("iam", workspace.account)
    assert iam.list_users()["Users"] == []
    assert "9 changed" in workspace("apply", "file.yaml")
    assert workspace("apply", "file.yaml") == "nothing to change\n"
    assert workspace("apply", "file.yaml", "--prune", "--yes") == "nothing to change\n"
    user = iam.get_user(UserName="node-1")["User"]
    assert user["Arn"] == f"arn:aws:iam::{workspace.account}:user/nodes/node-1"
    assert user["Tags"] == [{"Key": "rack", "Value": "7"}]
    ecr = server.client("ecr", workspace.account)
    assert "node-1" in ecr.get_repository_policy(repositoryName="team/app")["policyText"]
    assert "node-1" in ecr.get_registry_policy()["policyText"]
    far = server.client("ecr", workspace.account, region="eu-west-1")
    assert far.get_account_setting(name="REGISTRY_POLICY_SCOPE")["value"] == "V1"
    exported = workspace("export")
    (workspace.directory / "again.yaml").write_text(exported)
    assert workspace("apply", "again.yaml", "--prune", "--yes") == "nothing to change\n"
    assert "team/far" in exported


def test_changes_are_shown_line_by_line_and_made(server: ServerProcess, workspace: Workspace) -> None:
    workspace.write(EVERYTHING)
    workspace("apply", "file.yaml")
    changed = EVERYTHING.replace("ecr:DescribeImages", "ecr:ListImages").replace('rack: "7"', 'rack: "8"')
    changed = changed.replace("mutability: IMMUTABLE", "scan_on_push: true").replace("        groups: [nodes]\n", "")
    changed = changed.replace("policy_scope: V1", "policy_scope: V2")
    workspace.write(changed.replace("Sid: Nodes", "Sid: All"))
    shown = workspace("apply", "file.yaml")
    for line in (
        "~ groups/nodes", '"Action" : "ecr:DescribeImages"', "+ tags rack=8", "- tags rack=7", "- groups nodes",
        "+ mutability MUTABLE", "+ scan_on_push true", "~ registries/eu-west-1", "- policy_scope V1",
        '-       "Sid" : "Nodes",', '+       "Sid" : "All",',
    ):  # fmt: skip
        assert line in shown, shown
    assert workspace("apply", "file.yaml") == "nothing to change\n"
    (repository,) = server.client("ecr", workspace.account).describe_repositories(repositoryNames=["team/app"])[
        "repositories"
    ]
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    iam = server.client("iam", workspace.account)
    assert iam.list_groups_for_user(UserName="node-1")["Groups"] == []


def test_what_is_not_named_goes_only_when_that_is_asked_for(server: ServerProcess, workspace: Workspace) -> None:
    workspace.write(EVERYTHING)
    workspace("apply", "file.yaml", "--keys")
    push_image(server.client("ecr", workspace.account), "team/app", "v1")
    workspace.write("    users: {}\n")
    assert workspace("apply", "file.yaml") == "nothing to change\n"
    refused = workspace("apply", "file.yaml", "--prune", "--yes", status=1)
    assert "team/app" in refused
    assert "cannot be deleted because it still contains images" in refused
    server.client("ecr", workspace.account).delete_repository(repositoryName="team/app", force=True)
    workspace("apply", "file.yaml", "--prune", "--yes")
    iam = server.client("iam", workspace.account)
    assert iam.list_users()["Users"] == iam.list_policies(Scope="Local")["Policies"] == []
    assert workspace("export") == f"version: 1\naccounts:\n  '{workspace.account}': {{}}\n"


RICH = """\
    policies:
      edge: {path: /a/, document: {Statement: [{Effect: Allow, Action: "ecr:*", Resource: "*"}]}}
      pulls: {document: {Statement: [{Effect: Allow, Action: "ecr:BatchGetImage", Resource: "*"}]}}
    groups:
      first: {attached: [pulls], inline: {own: {Statement: [{Effect: Allow, Action: "ecr:*", Resource: "*"}]}}}
      second: {path: /b/}
    users:
      ann: {groups: [first, second], attached: [pulls], boundary: "arn:aws:iam::ACCOUNT:policy/a/edge"}
      bob: {groups: [second], inline: {own: {Statement: [{Effect: Allow, Action: "ecr:*", Resource: "*"}]}}}
    roles:
      z: {attached: [pulls], boundary: pulls, trust: {Statement: [
        {Effect: Allow, Principal: {AWS: "arn:aws:iam::ACCOUNT:user/ann"}, Action: "sts:AssumeRole"}]}}
      a: {trust: {Statement: [
        {Effect: Allow, Principal: {AWS: "arn:aws:iam::ACCOUNT:role/z"}, Action: "sts:AssumeRole"}]}}
    repositories:
      us-east-1:
        app: {policy: {Statement: [
          {Effect: Allow, Principal: {AWS: "arn:aws:iam::ACCOUNT:role/a"}, Action: "ecr:BatchGetImage"}]}}
    registries:
      us-east-1: {policy_scope: V1, policy: {Version: "2012-10-17", Statement: [
        {Effect: Allow, Principal: {AWS: "arn:aws:iam::ACCOUNT:role/z"}, Action: "ecr:ReplicateImage", Resource: "*"}]}}
"""


def test_everything_goes_whatever_refers_to_it(workspace: Workspace) -> None:
    workspace.write(RICH)
    workspace("apply", "file.yaml", "--keys")
    again = workspace("export")
    (workspace.directory / "again.yaml").write_text(again)
    workspace.write(RICH.replace('"ecr:BatchGetImage", Resource', '"ecr:ListImages", Resource'))
    workspace("apply", "file.yaml")  # the policy has two versions now
    assert workspace("apply", "again.yaml", "--prune", "--yes").endswith("1 changed\n")
    empty = f"version: 1\naccounts:\n  '{workspace.account}': {{}}\n"
    workspace.put(empty)
    assert "10 changed" in workspace("apply", "file.yaml", "--prune", "--yes")
    assert workspace("export") == empty


@pytest.mark.parametrize(
    ("kept", "refused", "why"),
    [
        (
            '    users: {ann: {boundary: "arn:aws:iam::ACCOUNT:policy/a/edge"}}\n',
            "- policies/edge",
            "it is the boundary of user ann.",
        ),
        ("    users: {ann: {groups: [second]}}\n", "- groups/second", "must remove users from group first."),
    ],
)
def test_what_stays_in_use_is_not_deleted(workspace: Workspace, kept: str, refused: str, why: str) -> None:
    """As it refers to what the file does not name."""
    workspace.write(RICH)
    workspace("apply", "file.yaml")
    workspace.write(kept)
    said = workspace("apply", "file.yaml", "--prune", "--yes", status=1)
    assert f"{refused}\nfailed: DeleteConflict: Cannot delete" in said
    assert why in said


def test_nobody_deletes_themselves(server: ServerProcess, workspace: Workspace) -> None:
    iam = server.client("iam", workspace.account)
    iam.create_user(UserName="ann")
    everything = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=json.dumps(everything))
    iam.create_user(UserName="bob")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    workspace.key = (key["AccessKeyId"], key["SecretAccessKey"])
    workspace.write("    users: {}\n")
    assert "users/ann applies the file, and would be deleted" in workspace(
        "apply", "file.yaml", "--prune", "--yes", status=1
    )
    assert len(iam.list_users()["Users"]) == 2


def test_an_id_that_is_nobodys_is_said(workspace: Workspace) -> None:
    """As an export has it where a policy names a user that was deleted."""
    workspace.write(
        "    repositories: {us-east-1: {app: {policy: {Statement: "
        "[{Effect: Allow, Principal: {AWS: AIDACKCEVSQ6C2EXAMPLE}, Action: 'ecr:BatchGetImage'}]}}}}\n"
    )
    assert "names the id of a user or role that no longer exists" in workspace("apply", "file.yaml", status=1)


def test_a_policy_out_of_its_scope_leaves_the_registry_as_it_was(server: ServerProcess, workspace: Workspace) -> None:
    workspace.write(RICH.replace("ecr:ReplicateImage", "ecr:BatchGetImage"))
    assert "Invalid registry policy provided" in workspace("apply", "file.yaml", status=1)
    ecr = server.client("ecr", workspace.account)
    assert ecr.get_account_setting(name="REGISTRY_POLICY_SCOPE")["value"] == "V2"


def test_a_role_may_trust_one_that_the_same_file_makes(server: ServerProcess, workspace: Workspace) -> None:
    """Also where the account keeps roles already, and so knows which there are."""
    trust = {"Effect": "Allow", "Principal": {"AWS": workspace.account}, "Action": "sts:AssumeRole"}
    iam = server.client("iam", workspace.account)
    iam.create_role(
        RoleName="there", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust})
    )
    workspace.write(EVERYTHING)
    assert "9 changed" in workspace("apply", "file.yaml")


def test_the_first_refusal_ends_the_run_in_the_words_of_the_api(server: ServerProcess, workspace: Workspace) -> None:
    workspace.write("    users:\n      ann: {attached: [nowhere]}\n      bob: {}\n")
    said = workspace("apply", "file.yaml", status=1)
    assert "NoSuchEntity" in said
    assert f"arn:aws:iam::{workspace.account}:policy/nowhere" in said
    assert server.client("iam", workspace.account).list_users()["Users"] == [], "half of ann"


def test_a_dry_run_foresees_groups_and_policies_that_are_not_there(server: ServerProcess, workspace: Workspace) -> None:
    arn = f"arn:aws:iam::{workspace.account}:policy/nowhere"
    for wrong, message in (
        ("{groups: [nodes]}", "The group with name nodes cannot be found."),
        ("{attached: [nowhere]}", f"Policy {arn} does not exist or is not attachable."),
        (f"{{boundary: '{arn}'}}", f"Policy {arn} does not exist or is not attachable."),
    ):
        users = f"    users:\n      ann: {{groups: [Devs]}}\n      bob: {wrong}\n      eve: {{}}\n"
        workspace.write("    groups: {devs: {}}\n" + users)
        said = workspace("apply", "file.yaml", "--dry-run", status=1)
        assert "+ users/ann" in said
        assert "+ users/bob" in said
        assert f"would fail: NoSuchEntity: {message}" in said
        assert "users/eve" not in said
        workspace("apply", "file.yaml", "--prune", status=1)
        assert server.client("iam", workspace.account).list_users()["Users"] == []
        said = workspace("apply", "file.yaml", status=1)
        assert f"failed: NoSuchEntity: {message}" in said
        workspace.write("    groups: {}\n    users: {}\n")
        workspace("apply", "file.yaml", "--prune", "--yes")
    workspace.write("    groups: {nodes: {}}\n    users: {bob: {groups: [nodes]}}\n")
    assert "2 would change" in workspace("apply", "file.yaml", "--dry-run")


def allow(action: str, **more: Any) -> dict[str, Any]:
    """A policy of one statement."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]}


PUSH = allow("ecr:PutImage", Resource="*")
NOBODY = {"AWS": "arn:aws:iam::ACCOUNT:user/nobody"}
KEPT: dict[str, Any] = {
    "policies": {"used": {"document": PUSH}},
    "groups": {"full": {}},
    "users": {"kept": {"attached": ["used"], "groups": ["full"]}},
    "repositories": {"us-east-1": {"images": {}}},
}
MANY = [f"arn:aws:ecr:*:*:repository/{number:0200}" for number in range(40)]
ELEVEN = [f"p{number}" for number in range(11)]
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "more policies attached than the quota": (
        {"policies": {name: {"document": PUSH} for name in ELEVEN}, "users": {"ann": {"attached": ELEVEN}}},
        "Cannot exceed quota for PoliciesPerUser: 10",
    ),
    "longer policies than the quota": (
        {"users": {"ann": {"inline": {str(number): PUSH for number in range(30)}}}},
        "Maximum policy size of 2048",
    ),
    "a longer version than the quota": (
        {"policies": {"used": {"document": allow("ecr:PutImage", Resource=MANY)}}},
        "Cannot exceed quota for PolicySize: 6144",
    ),
    "a policy that stays in use": ({"policies": {}}, "it is attached to user kept."),
    "a group that stays in use": ({"groups": {}}, "must remove users from group first."),
    "a repository with images": ({"repositories": {}}, "still contains images"),
    "a principal that does not exist": (
        {"repositories": {"us-east-1": {"images": {"policy": allow("ecr:ListImages", Principal=NOBODY)}}}},
        "Principal not found",
    ),
    "a trusted principal that does not exist": (
        {"roles": {"ci": {"trust": allow("sts:AssumeRole", Principal=NOBODY)}}},
        "Invalid principal in policy",
    ),
    "a lock-out": (
        {"repositories": {"us-east-1": {"images": {"policy": {
            "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*"}]}}}}},
        "prevent future policy changes",
    ),
    "a registry policy beyond its scope": (
        {"registries": {"us-east-1": {
            "policy_scope": "V1", "policy": allow("ecr:BatchGetImage", Principal="*", Resource="*")}}},
        "Invalid registry policy provided",
    ),
    "tags that ECR refuses": (
        {"repositories": {"us-east-1": {"images": {"tags": {"aws:x": "y"}}}}},
        "InvalidTagParameterException",
    ),
}  # fmt: skip


@pytest.fixture
def refused(server: ServerProcess, workspace: Workspace) -> Callable[[str], str]:
    """Writes the file of a case of REFUSED for an account that has KEPT; returns the message."""

    def write(case: str) -> str:
        workspace.put(json.dumps({"accounts": {workspace.account: KEPT}}))
        assert apply(server, Keys(workspace.account, "test"), workspace.text()).json["failed"] is None
        push_image(server.client("ecr", workspace.account), "images", "v1")
        changed, message = REFUSED[case]
        workspace.put(json.dumps({"accounts": {workspace.account: {**KEPT, **changed}}}))
        return message

    return write


@pytest.mark.parametrize("case", REFUSED)
def test_a_dry_run_foresees_what_the_rules_refuse(
    server: ServerProcess, workspace: Workspace, refused: Callable[[str], str], case: str
) -> None:
    """It answers what the run answers that follows, and neither leaves anything behind."""
    message, root = refused(case), Keys(workspace.account, "test")
    iam = server.client("iam", workspace.account)

    def state() -> tuple[Any, Any]:
        arn = f"arn:aws:iam::{workspace.account}:policy/used"
        return call(server, root, "export", {}).json, iam.list_policy_versions(PolicyArn=arn)["Versions"]

    before = state()
    foreseen = apply(server, root, workspace.text(), prune=True, dry_run=True).json
    assert message in f"{foreseen['failed']['code']}: {foreseen['failed']['message']}"
    assert state() == before
    assert apply(server, root, workspace.text(), prune=True).json == foreseen
    assert state() == before


@pytest.mark.parametrize("case", ["longer policies than the quota", "a policy that stays in use", "a lock-out"])
def test_the_command_foresees_it_in_the_words_of_the_run(
    workspace: Workspace, refused: Callable[[str], str], case: str
) -> None:
    message = refused(case)
    foreseen = workspace("apply", "file.yaml", "--prune", "--dry-run", status=1)
    assert message in foreseen, foreseen
    assert "Nothing would be changed" in foreseen
    failed = workspace("apply", "file.yaml", "--prune", "--yes", status=1)
    assert f"\nfailed: {sentence(foreseen, 'would fail: ')}\n" in failed
    assert "Nothing was changed" in failed


def sentence(said: str, mark: str) -> str:
    """The rest of the line that begins with `mark`."""
    (line,) = [line for line in said.splitlines() if line.startswith(mark)]
    return line.removeprefix(mark)


def test_a_dry_run_succeeds_where_the_run_does_and_changes_nothing(workspace: Workspace) -> None:
    workspace.write(EVERYTHING)
    planned = workspace("apply", "file.yaml", "--dry-run", "--keys")
    assert "9 would change" in planned
    assert "AKIA" not in planned
    assert workspace("export") == f"version: 1\naccounts:\n  '{workspace.account}': {{}}\n"
    assert planned.replace("would change", "changed") in workspace("apply", "file.yaml")


def test_keys_are_made_on_request_and_written_once(workspace: Workspace) -> None:
    workspace.write("    users: {ann: {}, bob: {}}\n")
    workspace("apply", "file.yaml")
    assert workspace("apply", "file.yaml", "--keys-to", "keys.json") == "nothing to change\n"
    kept = workspace.directory / "keys.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text().count("AKIA") == 2
    assert "keys go into a new file" in workspace("apply", "file.yaml", "--keys-to", "keys.json", status=1)
    assert "AKIA" not in workspace("apply", "file.yaml", "--keys")
    workspace.write("    users: [ann]\n")
    workspace("apply", "file.yaml", "--keys-to", "other.json", status=1)
    assert not (workspace.directory / "other.json").exists()
    assert "AKIA" not in workspace("export")


@pytest.mark.usefixtures("server")
def test_a_mistake_says_where_and_changes_nothing(workspace: Workspace) -> None:
    workspace.write("    users:\n      ann:\n        boundry: x\n")
    assert "line 6, column 9" in workspace("apply", "file.yaml", status=1)
    workspace.write(EVERYTHING.replace("user/nodes/node-1", "user/nobody"))
    failed = workspace("apply", "file.yaml", status=1)
    assert "nobody" in failed
    assert "were not tried" in failed
    assert "+ users/node-1" in failed
    told = json.loads(workspace("audit", "--json", "--action", "Apply", "-n", "1"))
    assert told["errorCode"] in failed


def test_lint_warns(workspace: Workspace) -> None:
    workspace.write(
        "    repositories: {us-east-1: {open: {policy: {Version: '2012-10-17', Statement: "
        "[{Effect: Allow, Principal: '*', Action: 'ecr:*'}]}}}}\n"
    )
    shown = workspace("apply", "file.yaml", "--dry-run")
    assert "security_warning in policy" in shown
    assert "+ mutability" not in shown, "as it is by default"
    workspace.write(
        "    registries: {us-east-1: {policy: {Version: '2012-10-17', Statement: "
        "[{Effect: Allow, Principal: '*', Action: 'ecr:*', Resource: '*'}]}}}\n"
    )
    assert "security_warning in policy" in workspace("apply", "file.yaml", "--dry-run")


def test_only_the_part_of_ones_own_account(server: ServerProcess, workspace: Workspace) -> None:
    own, other = workspace.account, f"79{workspace.account[2:]}"
    workspace.put(json.dumps({"accounts": {own: {"users": {"ann": {}}}, other: {"users": {"bob": {}}}}}))
    refused = workspace("apply", "file.yaml", status=1)
    assert f"about account {other}" in refused
    assert f"--account {own}" in refused
    assert "--on-host" in refused
    assert "1 changed" in workspace("apply", "file.yaml", "--account", own)
    assert len(server.client("iam", own).list_users()["Users"]) == 1
    assert f"about account {other}" in workspace("apply", "file.yaml", "--account", other, status=1)
    assert "says nothing of account" in workspace("apply", "file.yaml", "--account", "000000000009", status=1)


ORGANIZATION = """\
organization:
  id: o-moorage000
  managementAccount: "000000000000"
  serviceControlPolicies:
    NoPush: {Version: "2012-10-17", Statement: [{Effect: Deny, Action: "ecr:PutImage", Resource: "*"}]}
  root:
    id: r-ab12
    accounts: [{id: "000000000000"}]
    units: [{id: ou-ab12-11111111, accounts: [{id: "ACCOUNT"}], serviceControlPolicies: [FullAWSAccess, NoPush]}]
"""


def test_the_organization_is_part_of_it(server: ServerProcess, workspace: Workspace) -> None:
    workspace.put(f'accounts: {{"ACCOUNT": {{users: {{ann: {{}}}}}}}}\n{ORGANIZATION}')
    assert "not authorized to perform: moorage:GetOrganization" in workspace("apply", "file.yaml", status=1)
    assert server.client("iam", workspace.account).list_users()["Users"] == []
    assert "1 changed" in workspace("apply", "file.yaml", "--account", workspace.account)
    workspace("export")
    assert workspace.errors == "left out, as you may not see it: organization\n"

    workspace.key = ("000000000000", "test")
    workspace.put(ORGANIZATION)
    shown = workspace("apply", "file.yaml", "--dry-run")
    assert "+ organization/o-moorage000" in shown
    assert '+             "Action": "ecr:PutImage",' in shown
    assert "1 changed" in workspace("apply", "file.yaml")
    member = server.client("ecr", workspace.account)
    member.create_repository(repositoryName="guarded")
    with pytest.raises(Error, match="service control policy"):
        push_image(member, "guarded", "v1")
    assert workspace("apply", "file.yaml") == "nothing to change\n"
    (workspace.directory / "again.yaml").write_text(workspace("export"))
    assert workspace.errors == ""
    assert workspace("apply", "again.yaml") == "nothing to change\n"
    workspace.put(ORGANIZATION.replace("ecr:PutImage", "ecr:ListImages"))
    assert '+             "Action": "ecr:ListImages",' in workspace("apply", "file.yaml")
    with pytest.raises(Error, match="service control policy"):
        member.list_images(repositoryName="guarded")

    workspace.put("accounts: {}")
    assert workspace("apply", "file.yaml", "--prune") == "nothing to change\n"
    workspace.put("organization: {}")
    assert workspace("apply", "file.yaml") == "nothing to change\n"
    assert "- organization/o-moorage000" in workspace("apply", "file.yaml", "--prune", answers="n\n", status=1)
    assert "1 changed" in workspace("apply", "file.yaml", "--prune", answers="y\n")
    assert "No organization is set." in workspace("organization", "show", status=1)


@pytest.mark.usefixtures("server")
def test_the_guard_rails_that_a_file_sets_do_not_stop_it(workspace: Workspace) -> None:
    """They would: whoever applies it may not set a repository policy under them."""
    account, workspace.account, workspace.key = workspace.account, "000000000000", ("000000000000", "test")
    rails = ORGANIZATION.replace("000000000000", account).replace("ACCOUNT", "000000000000")
    rails = rails.replace("ecr:PutImage", "ecr:SetRepositoryPolicy")
    repository = """\
    repositories: {us-east-1: {guarded/own: {policy: {Statement: [
      {Effect: Allow, Principal: "*", Action: "ecr:BatchGetImage"}]}}}}
"""
    workspace.write(repository + rails)
    try:
        assert "2 changed" in workspace("apply", "file.yaml")
        workspace.write(repository.replace("Get", "Delete") + "")
        refused = workspace("apply", "file.yaml", status=1)
        assert "Nothing was changed. repositories/us-east-1/guarded/own, policy: " in refused
        assert "explicit deny in a service control policy" in refused
    finally:
        workspace.key = (account, "test")
        workspace.put("organization: {}")
        workspace("apply", "file.yaml", "--prune", "--yes")


def test_a_dry_run_shows_what_would_be_refused(server: ServerProcess, workspace: Workspace) -> None:
    iam = server.client("iam", workspace.account)
    iam.create_user(UserName="author")
    allowed = {"Effect": "Allow", "Action": ["moorage:Apply", "iam:CreateUser"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_user_policy(UserName="author", PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName="author")["AccessKey"]
    workspace.key = (key["AccessKeyId"], key["SecretAccessKey"])
    workspace.write(f"    users: {{author: {{inline: {{own: {document}}}}}, bob: {{groups: [admins]}}}}\n")
    said = workspace("apply", "file.yaml", "--dry-run", status=1)
    assert "+ users/bob" in said
    sentence = f"User: arn:aws:iam::{workspace.account}:user/author is not authorized to perform: iam:AddUserToGroup"
    assert f"refused: users/bob, groups/admins: {sentence} on resource: arn:aws:iam::" in said
    assert "Nothing would be changed: you may not do 1 of this.\n" in said
    said = workspace("apply", "file.yaml", "--prune", status=1)
    assert "moorage: Nothing was changed. users/bob, groups/admins: User: " in said
    assert len(iam.list_users()["Users"]) == 1


def test_who_may(server: ServerProcess, workspace: Workspace) -> None:
    iam = server.client("iam", workspace.account)
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    workspace.write("    users: {}\n")
    account = workspace.account
    workspace.key = (key["AccessKeyId"], key["SecretAccessKey"])
    assert "not authorized to perform: moorage:Apply" in workspace("apply", "file.yaml", "--dry-run", status=1)
    assert "not authorized to perform: moorage:Export" in workspace("export", status=1)
    workspace.account = "999999999999"
    workspace.write("    users: {}\n")
    workspace.key = (account, "test")
    assert "with a key of its own account (--account" in workspace("apply", "file.yaml", status=1)
