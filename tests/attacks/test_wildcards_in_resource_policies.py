"""Attacks with Moorage's own actions on repositories: no wildcard grants them, and every guard rail binds them."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.support.admin_calls import Keys, keys_of, user
from tests.support.ecr_push import push_image
from tests.support.server_process import Error, ServerProcess

MANAGEMENT, OUTSIDER = "000000000000", "999900001111"
ORG = "o-guardguard"
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
NUMBERS = count(1)
Statement = dict[str, Any]
Check = Callable[[str], None]

OPEN: list[Statement] = [
    {"Action": "*"},
    {"Action": ["*", "ecr:*"]},
    {"Action": ["*", "ecr:BatchGetImage"], "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "1"}}},
    {"NotAction": "ecr:PutImage"},
    {"NotAction": ["moorage:Purge", "ecr:DeleteRepository"]},
]
"""What opens a repository to everybody as wide as its owner could write it by accident."""
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "moorage:ReadAccess": ("access", {}),
    "moorage:Restore": ("restore", {"tag": "v1"}),
    "moorage:ReplayPolicy": ("policy/try", {"since": 0}),
    "moorage:Purge": ("purge", {}),
}
"""A call for each of Moorage's actions on a repository."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("wildcards") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def organization(server: ServerProcess) -> Iterator[Callable[..., None]]:
    """Puts an account under guard rails, until the test ends."""

    def guard(account: str, *, scp: list[Statement] | None = None, rcp: list[Statement] | None = None) -> None:
        member: dict[str, Any] = {"id": account}
        document: dict[str, Any] = {"id": ORG, "managementAccount": MANAGEMENT}
        for name, attached, statements in (
            ("serviceControlPolicies", ["Rail"], scp),
            ("resourceControlPolicies", ["Rail"], rcp),
        ):
            if statements is not None:
                document[name] = {"Rail": {"Version": "2012-10-17", "Statement": statements}}
                allows = any(each["Effect"] == "Allow" for each in statements)
                member[name] = attached if allows or name.startswith("r") else ["FullAWSAccess", *attached]
        document["root"] = {"id": "r-ab12", "accounts": [{"id": MANAGEMENT}, member]}
        status, text = Keys(MANAGEMENT).post(server, "organization/put", {"document": json.dumps(document)})
        assert status == 200, text

    yield guard
    Keys(MANAGEMENT).post(server, "organization/delete", {})


class Owner:
    """An account with a repository `shared`, an image in it, and what may be set on them."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.account = f"7788{next(NUMBERS):08}"
        self.keys = Keys(self.account)
        self.ecr = server.client("ecr", self.account)
        self.ecr.create_repository(repositoryName="shared")
        push_image(self.ecr, "shared", "v1")

    def repository_policy(self, *statements: Statement) -> None:
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.ecr.set_repository_policy(repositoryName="shared", policyText=text, force=True)

    def registry_policy(self, *statements: Statement) -> None:
        stated = [{"Resource": "*", **each} for each in statements]
        self.ecr.put_registry_policy(policyText=json.dumps({"Version": "2012-10-17", "Statement": stated}))

    def asked(self, keys: Keys, action: str) -> str:
        """Empty when the server lets `keys` do it on the repository, else why not."""
        path, body = ASKED[action]
        status, text = keys.post(self.server, path, {"repository": "shared", "account": self.account, **body})
        return text if status != 200 and "AccessDenied" in text else ""

    def permitted(self, keys: Keys) -> list[str]:
        """Those of Moorage's actions that the server lets `keys` do."""
        return [action for action in ASKED if not self.asked(keys, action)]

    def pulls(self, keys: Keys) -> bool:
        try:
            answer = keys.client(self.server, "ecr").batch_get_image(
                registryId=self.account, repositoryName="shared", imageIds=[{"imageTag": "v1"}]
            )
        except Error:
            return False
        return bool(answer["images"])


@pytest.fixture
def owner(server: ServerProcess) -> Owner:
    return Owner(server)


def allow(action: Any, **more: Any) -> Statement:
    return {"Effect": "Allow", "Principal": "*", "Action": action, **more}


def deny(action: Any, **more: Any) -> Statement:
    return {"Effect": "Deny", "Principal": "*", "Action": action, **more}


NOT_OURS = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORG}}


@pytest.mark.parametrize("actions", OPEN)
def test_no_wildcard_of_a_repository_policy_grants_moorages_actions(owner: Owner, actions: Statement) -> None:
    outsider, nobody = Keys(OUTSIDER), user(owner.server, owner.account, "nobody")
    owner.repository_policy({"Effect": "Allow", "Principal": "*", **actions})
    for keys in (outsider, nobody):
        assert owner.pulls(keys)
        assert owner.permitted(keys) == []
    assert "because no resource-based policy allows the moorage:Purge action" in owner.asked(outsider, "moorage:Purge")
    assert owner.permitted(owner.keys) == list(ASKED)


@pytest.mark.parametrize("actions", OPEN)
def test_nor_does_one_of_a_registry_policy(owner: Owner, actions: Statement) -> None:
    owner.registry_policy({"Effect": "Allow", "Principal": {"AWS": OUTSIDER}, **actions})
    assert owner.pulls(Keys(OUTSIDER))
    assert owner.permitted(Keys(OUTSIDER)) == []


@pytest.mark.parametrize("place", ["repository", "registry"])
@pytest.mark.parametrize(
    ("actions", "granted"),
    [
        ("moorage:Purge", ["moorage:Purge"]),
        (["*", "MOORAGE:purge"], ["moorage:Purge"]),
        ("moorage:Re*", ["moorage:ReadAccess", "moorage:Restore", "moorage:ReplayPolicy"]),
        (["ecr:*", "moorage:*"], list(ASKED)),
    ],
)
def test_an_action_that_is_spelled_out_is_granted(
    owner: Owner, place: str, actions: str | list[str], granted: list[str]
) -> None:
    put = owner.repository_policy if place == "repository" else owner.registry_policy
    put({"Effect": "Allow", "Principal": {"AWS": OUTSIDER}, "Action": actions})
    assert owner.permitted(Keys(OUTSIDER)) == granted


def test_what_is_granted_is_done(owner: Owner) -> None:
    outsider = Keys(OUTSIDER)
    owner.repository_policy(allow(["moorage:Purge", "moorage:Restore", "ecr:BatchDeleteImage"]))
    image = {"repositoryName": "shared", "registryId": owner.account}
    deleted = outsider.client(owner.server, "ecr").batch_delete_image(**image, imageIds=[{"imageTag": "v1"}])
    digest = deleted["imageIds"][0]["imageDigest"]
    asked = {"repository": "shared", "account": owner.account, "digest": digest}
    assert outsider.post(owner.server, "restore", asked)[0] == 200
    outsider.client(owner.server, "ecr").batch_delete_image(**image, imageIds=[{"imageDigest": digest}])
    assert outsider.post(owner.server, "purge", asked)[0] == 200
    assert owner.keys.post(owner.server, "restore", asked)[0] != 200


@pytest.mark.parametrize("name", ["moorage:Apply", "moorage:ReadAudit", "moorage:Nothing", "moorage:", "moorage"])
def test_no_resource_policy_names_moorages_other_actions(owner: Owner, name: str) -> None:
    for put in (owner.repository_policy, owner.registry_policy):
        with pytest.raises(Error, match=r"Invalid (repository|registry) policy provided"):
            put(allow(name))


@pytest.mark.parametrize("place", ["repository", "registry"])
@pytest.mark.parametrize("actions", [{"Action": "*"}, {"Action": "moorage:*"}, {"NotAction": "ecr:BatchGetImage"}])
def test_a_deny_is_not_narrowed(owner: Owner, place: str, actions: Statement) -> None:
    owner.repository_policy(allow(["ecr:*", "moorage:*"]))
    assert owner.permitted(Keys(OUTSIDER)) == list(ASKED)
    denied = {"Effect": "Deny", "Principal": "*", **actions}
    if place == "registry":
        owner.registry_policy(denied)
    else:
        owner.repository_policy(allow(["ecr:*", "moorage:*"]), denied)
    for keys in (Keys(OUTSIDER), owner.keys):
        assert owner.permitted(keys) == []
    assert "with an explicit deny in a resource-based policy" in owner.asked(Keys(OUTSIDER), "moorage:ReadAccess")


@pytest.mark.parametrize("actions", ["*", "moorage:*"])
def test_a_deny_of_the_registry_binds_the_owner(owner: Owner, actions: str) -> None:
    owner.registry_policy(deny(actions))
    assert owner.permitted(owner.keys) == []


def test_the_root_still_recovers_from_a_deny_of_everything(owner: Owner) -> None:
    key = owner.server.client("iam", owner.account).create_access_key()["AccessKey"]
    root = Keys(key["AccessKeyId"], key["SecretAccessKey"])
    owner.repository_policy(deny("*"))
    owner.registry_policy(deny("*"))
    assert owner.permitted(root) == []
    ecr = root.client(owner.server, "ecr")
    ecr.delete_registry_policy()
    ecr.delete_repository_policy(repositoryName="shared")
    assert owner.permitted(root) == list(ASKED)


@pytest.mark.parametrize("actions", ["moorage:*", "*", ["ecr:*", "moorage:*"]])
def test_an_rcp_guards_repositories_from_moorages_actions(
    owner: Owner, organization: Callable[..., None], actions: str | list[str]
) -> None:
    owner.repository_policy(allow(["*", "moorage:*"]))
    organization(owner.account, rcp=[deny(actions, Resource="*", Condition=NOT_OURS)])
    assert owner.permitted(Keys(OUTSIDER)) == []
    said = owner.asked(Keys(OUTSIDER), "moorage:ReadAccess")
    assert "with an explicit deny in a resource control policy" in said
    assert owner.permitted(owner.keys) == list(ASKED)


def test_an_rcp_binds_the_owner_too_and_leaves_its_account_to_it(
    owner: Owner, organization: Callable[..., None]
) -> None:
    organization(owner.account, rcp=[deny("*", Resource="*")])
    assert owner.permitted(owner.keys) == []
    status, text = owner.keys.post(owner.server, "export", {})
    assert status == 200, text


def test_the_management_accounts_own_repositories_are_under_no_rcp(
    owner: Owner, organization: Callable[..., None]
) -> None:
    organization(owner.account, rcp=[deny("*", Resource="*")])
    ecr = owner.server.client("ecr", MANAGEMENT)
    ecr.create_repository(repositoryName="managed")
    status, _ = Keys(MANAGEMENT).post(owner.server, "access", {"repository": "managed"})
    assert status == 200
    assert owner.permitted(Keys(MANAGEMENT)) == []


SCPS = [
    ([{"Effect": "Deny", "Action": "moorage:*", "Resource": "*"}], "with an explicit deny in a service control policy"),
    ([{"Effect": "Allow", "Action": ["ecr:*", "sts:*"], "Resource": "*"}], "no service control policy allows"),
]


@pytest.mark.parametrize(("scp", "said"), SCPS)
def test_scps_bind_moorages_actions_of_every_kind_of_caller(
    owner: Owner, organization: Callable[..., None], scp: list[Statement], said: str
) -> None:
    server, account = owner.server, owner.account
    administrator = user(server, account, "administrator", ALL)
    iam, sts = server.client("iam", account), administrator.client(server, "sts")
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="role", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))["Role"]
    iam.attach_role_policy(RoleName="role", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    everything = json.dumps({"Statement": ALL})
    callers = [
        owner.keys,
        administrator,
        keys_of(sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")),
        keys_of(sts.get_session_token()),
        keys_of(sts.get_federation_token(Name="fed", Policy=everything)),
    ]
    owner.repository_policy(allow("moorage:*"))
    assert all(owner.permitted(keys) == list(ASKED) for keys in callers)
    organization(account, scp=scp)
    for keys in callers:
        assert owner.permitted(keys) == []
        assert said in owner.asked(keys, "moorage:Purge")
    for path, body in (("export", {}), ("audit", {}), ("access", {"principal": f"arn:aws:iam::{account}:root"})):
        status, text = administrator.post(server, path, body)
        assert status != 200
        assert said in text


def test_an_scp_binds_taking_on_a_role_in_another_account(owner: Owner, organization: Callable[..., None]) -> None:
    server = owner.server
    caller = user(server, owner.account, "caller", ALL)
    trust = {"Effect": "Allow", "Principal": {"AWS": owner.account}, "Action": "sts:AssumeRole"}
    iam = server.client("iam", OUTSIDER)
    name = f"for-{owner.account}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": trust}))["Role"]
    sts = caller.client(server, "sts")
    sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")
    organization(owner.account, scp=[{"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*"}])
    with pytest.raises(Error, match="explicit deny in a service control policy"):
        sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")


def test_boundaries_and_session_policies_bind_moorages_actions(owner: Owner) -> None:
    server = owner.server
    administrator = user(server, owner.account, "administrator", ALL)
    only_ecr = json.dumps({"Version": "2012-10-17", "Statement": {**ALL, "Action": "ecr:*"}})
    iam = server.client("iam", owner.account)
    held = keys_of(administrator.client(server, "sts").get_federation_token(Name="fed", Policy=only_ecr))
    assert owner.pulls(held)
    assert owner.permitted(held) == []
    boundary = iam.create_policy(PolicyName="only-ecr", PolicyDocument=only_ecr)["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="administrator", PermissionsBoundary=boundary)
    assert owner.pulls(administrator)
    assert owner.permitted(administrator) == []


def test_the_matrix_tells_who_may_purge(owner: Owner) -> None:
    """The analysis is of the same mind as the engine: `*` is not Moorage's, what is spelled out is."""
    outsider, keys = f"account {OUTSIDER} (those it allows)", owner.keys

    def administers(text: str, **more: Any) -> Any:
        asked = {"repository": "shared", "version": {"text": text}, **more}
        return json.loads(keys.post(owner.server, "access", asked)[1])

    def policy(*actions: str) -> str:
        return json.dumps({"Statement": {**allow(list(actions)), "Principal": {"AWS": OUTSIDER}}})

    pull = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    told = administers(policy(*pull, "moorage:Purge"), before={"text": policy(*pull)})
    rows = {row["who"]: row["cells"]["administer"]["answer"] for row in told["rows"]}
    assert rows[outsider] == "yes"
    assert [(each["who"], each["action"]) for each in told["widened"]] == [(outsider, "moorage:Purge")]
    told = administers(policy("*"), before={"text": policy("ecr:*")})
    assert told["widened"] == []
    told = administers(policy("*", "moorage:*"), before={"text": policy("*")})
    assert {each["action"] for each in told["widened"]} == set(ASKED)


def test_a_replay_tells_who_would_lose_moorages_actions(owner: Owner) -> None:
    outsider = Keys(OUTSIDER)
    spelled_out = json.dumps({"Statement": allow(["*", "moorage:ReadAccess"])})
    owner.ecr.set_repository_policy(repositoryName="shared", policyText=spelled_out)
    assert owner.asked(outsider, "moorage:ReadAccess") == ""
    asked = {"repository": "shared", "since": 0, "policy": json.dumps({"Statement": allow("*")})}
    status, text = owner.keys.post(owner.server, "policy/try", asked)
    assert status == 200, text
    (report,) = [line["report"] for line in map(json.loads, text.splitlines()) if "report" in line]
    lost = [(each["principal"], each["action"]) for each in report["lost"]]
    assert lost == [(f"arn:aws:iam::{OUTSIDER}:root", "moorage:ReadAccess")]
    assert report["gained"] == []
