"""What `moorage why` proposes after denials of every kind: each proposal is made true on the server, and the request
goes through. Nothing is proposed that cannot be changed, or that is not the policy which decides."""

import http.client
import itertools
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import msgspec
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from moorage.analysis.explanation import ExplainedDecision
from moorage.cli.access import decision_tree
from tests.support.admin_calls import Keys, keys_of
from tests.support.ecr_push import push_image
from tests.support.server_process import Error, ServerProcess

MANAGEMENT = "000000000000"
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
POWER_USER = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("proposals") / "data")
    running.start(environment={"MOORAGE_ANONYMOUS_PULL": "true"})
    yield running
    running.stop()


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def deny(*actions: str, **more: Any) -> dict[str, Any]:
    return {**allow(*actions, **more), "Effect": "Deny"}


def to(principal: Any, statement: dict[str, Any]) -> dict[str, Any]:
    """The statement as a policy of a resource has it: for that principal, and without a Resource."""
    named = {name: value for name, value in statement.items() if name != "Resource"}
    return {**named, "Principal": principal}


class World:
    """An account with a repository, a second account, and what makes a proposal true in them."""

    def __init__(self, server: ServerProcess) -> None:
        number = next(_numbers)
        self.server = server
        self.account, self.other = f"4444{number:08}", f"5555{number:08}"
        self.iam, self.ecr = server.client("iam", self.account), server.client("ecr", self.account)
        self.ecr.create_repository(repositoryName="app")
        self.owner, self.other_root = Keys(self.account), Keys(self.other)
        self.session: dict[str, Any] = {}
        """What the session is made with: Policy, PolicyArns."""
        self.organization: dict[str, Any] | None = None
        self.users: list[Keys] = []

    @cached_property
    def other_iam(self) -> Any:
        return self.server.client("iam", self.other)

    def user(self, *statements: dict[str, Any], name: str = "ann", other: bool = False, **more: Any) -> Keys:
        iam = self.other_iam if other else self.iam
        iam.create_user(UserName=name, **more)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.users.append(Keys(key["AccessKeyId"], key["SecretAccessKey"]))
        return self.users[-1]

    def group(self, *statements: dict[str, Any], name: str = "devs") -> None:
        self.iam.create_group(GroupName=name)
        self.iam.add_user_to_group(GroupName=name, UserName="ann")
        if statements:
            self.iam.put_group_policy(GroupName=name, PolicyName="shared", PolicyDocument=document(*statements))

    def managed(self, *statements: dict[str, Any], name: str = "managed") -> str:
        made = self.iam.create_policy(PolicyName=name, PolicyDocument=document(*statements))
        return str(made["Policy"]["Arn"])

    def role(
        self, *statements: dict[str, Any], trust: dict[str, Any] | None = None, name: str = "ci", **more: Any
    ) -> str:
        trusted = trust or to({"AWS": self.account}, allow("sts:AssumeRole"))
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trusted), **more)
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        return str(made["Role"]["Arn"])

    def assume(self, keys: Keys | None = None, **more: Any) -> Keys:
        """A session of the role `ci`, with the session policies that there are."""
        arn = f"arn:aws:iam::{self.account}:role/ci"
        sts = (keys or self.owner).client(self.server, "sts")
        return keys_of(sts.assume_role(RoleArn=arn, RoleSessionName="job", **self.session, **more))

    def repository_policy(self, *statements: dict[str, Any]) -> None:
        self.ecr.set_repository_policy(repositoryName="app", policyText=document(*statements))

    def registry_policy(self, *statements: dict[str, Any]) -> None:
        self.ecr.put_registry_policy(policyText=document(*statements))

    def organize(
        self, *, scp: dict[str, Any] | None = None, rcp: dict[str, Any] | None = None, only: bool = False
    ) -> None:
        """The account is under a unit with these policies; `only`: without FullAWSAccess."""
        scps, rcps = {} if scp is None else {"Guard": scp}, {} if rcp is None else {"Perimeter": rcp}
        unit = {
            "id": "ou-ab12-11111111",
            "serviceControlPolicies": [*scps] if only else ["FullAWSAccess", *scps],
            "resourceControlPolicies": [*rcps],
            "accounts": [{"id": self.account}],
        }
        self.organization = {
            "id": "o-moorage000",
            "managementAccount": MANAGEMENT,
            "serviceControlPolicies": {name: json.loads(document(one)) for name, one in scps.items()},
            "resourceControlPolicies": {name: json.loads(document(one)) for name, one in rcps.items()},
            "root": {"id": "r-ab12", "accounts": [{"id": MANAGEMENT}], "units": [unit]},
        }
        self.keep_organization()

    def keep_organization(self) -> None:
        status, text = Keys(MANAGEMENT).post(
            self.server, "organization/put", {"document": json.dumps(self.organization)}
        )
        assert status == 200, text

    # To make a proposal true.

    def apply(self, change: dict[str, Any], who: dict[str, Any]) -> None:
        """What somebody does who reads the proposal."""
        if change["set"] in {"identity", "boundary"}:
            self._apply_to_identity(change, who)
        elif change["set"] == "resource":
            if change["policyKind"] == "registry":
                self.ecr.put_registry_policy(policyText=change["document"])
            else:
                self.ecr.set_repository_policy(repositoryName="app", policyText=change["document"])
        elif change["set"] == "trust":
            self.iam.update_assume_role_policy(RoleName="ci", PolicyDocument=change["document"])
        elif change["set"] == "session":
            if change["policy"].startswith("arn:"):
                self._new_version(self.iam, change)
            else:
                self.session = {**self.session, "Policy": change["document"]}
        else:
            assert self.organization is not None
            member = "serviceControlPolicies" if change["set"] == "scp" else "resourceControlPolicies"
            name = change["policy"].partition(" ")[0]
            assert name in self.organization[member], change
            self.organization[member][name] = json.loads(change["document"])
            self.keep_organization()

    def _apply_to_identity(self, change: dict[str, Any], who: dict[str, Any]) -> None:
        iam = self.iam if who["account"] == self.account else self.other_iam
        kind = "Role" if who["roleArn"] else "User"
        name = (who["roleArn"] or who["arn"]).rpartition("/")[2]
        if ":federated-user/" in who["arn"]:
            name = "ann"
        policy, _, group = change["policy"].partition(" (group ")
        if change["kind"] == "replace-policy":
            assert change["set"] == "boundary"
            made = iam.create_policy(PolicyName="replacement", PolicyDocument=change["document"])["Policy"]["Arn"]
            getattr(iam, f"put_{kind.lower()}_permissions_boundary")(**{f"{kind}Name": name}, PermissionsBoundary=made)
        elif policy.startswith("arn:"):
            self._new_version(iam, change)
        elif group:
            iam.put_group_policy(GroupName=group[:-1], PolicyName=policy, PolicyDocument=change["document"])
        else:
            policy = "proposed" if policy == "(new)" else policy
            putting = getattr(iam, f"put_{kind.lower()}_policy")
            putting(**{f"{kind}Name": name}, PolicyName=policy, PolicyDocument=change["document"])

    @staticmethod
    def _new_version(iam: Any, change: dict[str, Any]) -> None:
        arn = change["policy"].partition(" ")[0]
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=change["document"], SetAsDefault=True)


Act = Callable[[], Any]


def explain(server: ServerProcess, keys: Keys, decision: str) -> dict[str, Any] | None:
    """What `moorage why ID --json` prints for them; None: it is not theirs to see."""
    url = f"{server.url}/_moorage/explain/{decision}"
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(keys.id, keys.secret, keys.token), "moorage", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", f"/_moorage/explain/{decision}", headers=dict(request.headers))
        answer = connection.getresponse()
        told = json.loads(answer.read())
        return told if answer.status == 200 else None
    finally:
        connection.close()


def denied(act: Act) -> str | None:
    """The id that `act` was denied under; None: it was not."""
    try:
        act()
    except Error as error:
        code = error.response["Error"]["Code"]
        if code.startswith("AccessDenied"):
            return str(error.response["ResponseMetadata"]["RequestId"])
    except Refused as refusal:
        return refusal.id
    return None


class Refused(Exception):
    """A call that boto3 does not make was denied."""

    def __init__(self, decision: str) -> None:
        super().__init__(decision)
        self.id = decision


def lines(told: dict[str, Any]) -> str:
    """The tree as it is printed."""
    return "\n".join(decision_tree._plain(decision_tree.tree(msgspec.convert(told, ExplainedDecision)), 0))


def check(told: dict[str, Any]) -> None:
    """What is wrong in no explanation."""
    text = lines(told)
    assert "account None" not in text
    assert "None" not in text
    name = told["request"]["resource"].partition(":repository/")[2]
    on_repository = name not in {"", "*"} and told["request"]["action"] != "ecr:CreateRepository"
    if not on_repository:
        assert "repository policy" not in text
    service = told["request"]["action"].partition(":")[0]
    own = told["request"]["principal"]["account"]
    for each in told["ask"]:
        assert each["account"] == (own if each["policy"] == "its own policies" else told["request"]["resourceAccount"])
        if each["policy"].startswith("the trust policy"):
            assert service == "sts"
        if "registry policy" in each["policy"]:
            assert service == "ecr"
        assert own != told["request"]["resourceAccount"] or each["certain"] or service == "sts"
    assert told["suggestions"] or told["ask"] or told["note"]
    for each in (change for suggestion in told["suggestions"] for change in suggestion["changes"]):
        assert each["set"] in sets_of(told["request"]["action"]), each
        if each["policy"].startswith("arn:aws:iam::aws:") or "FullAWSAccess" in each["policy"]:
            assert (each["set"], each["kind"]) == ("boundary", "replace-policy")
        if each["set"] == "resource":
            assert each["policyKind"] == ("repository" if on_repository else "registry") or each["hash"]


def sets_of(action: str) -> set[str]:
    service = action.partition(":")[0]
    sets = {"identity", "boundary", "session", "scp"}
    return sets | {"ecr": {"resource", "rcp"}, "moorage": {"resource", "rcp"}, "sts": {"trust", "rcp"}}.get(
        service, set()
    )


# Denials. Each makes its world and gives the act that is denied, and the sets that the first proposal changes.

Arranged = tuple[Act, list[str]]


def list_images(world: World, keys: Keys, account: str | None = None) -> Act:
    return lambda: keys.client(world.server, "ecr").list_images(
        repositoryName="app", **({} if account is None else {"registryId": account})
    )


def upload(world: World, keys: Keys) -> Act:
    return lambda: keys.client(world.server, "ecr").initiate_layer_upload(repositoryName="app")


def login(world: World, keys: Keys) -> Act:
    return lambda: keys.client(world.server, "ecr").get_authorization_token()


def as_role(world: World, action: Callable[[World, Keys], Act]) -> Act:
    """With a new session each time, made with the session policies of that time."""

    def act() -> Any:
        return action(world, world.assume())()

    return act


def ecr_without_a_policy(world: World) -> Arranged:
    return list_images(world, world.user()), ["identity"]


def ecr_inline(world: World) -> Arranged:
    return list_images(world, world.user(allow("ecr:GetAuthorizationToken"))), ["identity"]


def ecr_aws_managed_only(world: World) -> Arranged:
    keys = world.user()
    world.iam.attach_user_policy(UserName="ann", PolicyArn=READ_ONLY)
    return upload(world, keys), ["identity"]


def ecr_aws_managed_beside_an_inline_one(world: World) -> Arranged:
    keys = world.user(allow("s3:GetObject"))
    world.iam.attach_user_policy(UserName="ann", PolicyArn=READ_ONLY)
    return upload(world, keys), ["identity"]


def ecr_aws_managed_of_a_group(world: World) -> Arranged:
    keys = world.user()
    world.group()
    world.iam.attach_group_policy(GroupName="devs", PolicyArn=POWER_USER)
    return lambda: keys.client(world.server, "ecr").delete_repository(repositoryName="app"), ["identity"]


def ecr_customer_managed(world: World) -> Arranged:
    keys = world.user()
    world.iam.attach_user_policy(UserName="ann", PolicyArn=world.managed(allow("ecr:GetAuthorizationToken")))
    return list_images(world, keys), ["identity"]


def ecr_of_a_group(world: World) -> Arranged:
    keys = world.user()
    world.group(allow("ecr:ListImages", Resource="arn:aws:ecr:*:*:repository/other"))
    return list_images(world, keys), ["identity"]


def ecr_denied_inline(world: World) -> Arranged:
    return list_images(world, world.user(allow("ecr:*"), deny("ecr:ListImages"))), ["identity"]


def ecr_denied_by_a_managed_policy(world: World) -> Arranged:
    keys = world.user(allow("ecr:*"))
    world.iam.attach_user_policy(UserName="ann", PolicyArn=world.managed(deny("ecr:ListImages")))
    return list_images(world, keys), ["identity"]


def ecr_boundary(world: World) -> Arranged:
    boundary = world.managed(allow("ecr:GetAuthorizationToken"), name="boundary")
    return list_images(world, world.user(allow("ecr:*"), PermissionsBoundary=boundary)), ["boundary"]


def ecr_aws_managed_boundary(world: World) -> Arranged:
    return upload(world, world.user(allow("ecr:*"), PermissionsBoundary=READ_ONLY)), ["boundary"]


def ecr_aws_managed_boundary_of_a_role(world: World) -> Arranged:
    world.role(allow("ecr:*"), PermissionsBoundary=READ_ONLY)
    return as_role(world, upload), ["boundary"]


def ecr_denied_by_the_boundary(world: World) -> Arranged:
    boundary = world.managed(allow("*"), deny("ecr:ListImages"), name="boundary")
    return list_images(world, world.user(allow("ecr:*"), PermissionsBoundary=boundary)), ["boundary"]


def ecr_of_a_role(world: World) -> Arranged:
    world.role()
    return as_role(world, list_images), ["identity"]


def ecr_inline_session_policy(world: World) -> Arranged:
    world.role(allow("ecr:*"))
    world.session = {"Policy": document(allow("ecr:GetAuthorizationToken"))}
    return as_role(world, list_images), ["session"]


def ecr_aws_managed_session_policy(world: World) -> Arranged:
    world.role(allow("ecr:*"))
    world.session = {"PolicyArns": [{"arn": READ_ONLY}]}
    return as_role(world, upload), ["session"]


def ecr_customer_managed_session_policy(world: World) -> Arranged:
    world.role(allow("ecr:*"))
    world.session = {"PolicyArns": [{"arn": world.managed(allow("ecr:GetAuthorizationToken"))}]}
    return as_role(world, list_images), ["session"]


def federated(world: World, *statements: dict[str, Any]) -> Act:
    keys = world.user(allow("sts:GetFederationToken"), *statements)

    def act() -> Any:
        sts = keys.client(world.server, "sts")
        return list_images(world, keys_of(sts.get_federation_token(Name="bob", **world.session)))()

    return act


def ecr_federated_without_a_session_policy(world: World) -> Arranged:
    return federated(world, allow("ecr:*")), ["session"]


def ecr_federated_with_a_session_policy(world: World) -> Arranged:
    world.session = {"Policy": document(allow("ecr:GetAuthorizationToken"))}
    return federated(world, allow("ecr:*")), ["session"]


def ecr_denied_by_the_repository(world: World) -> Arranged:
    world.repository_policy(to("*", deny("ecr:ListImages")))
    return list_images(world, world.user(allow("ecr:*"))), ["resource"]


def ecr_across_accounts_without_a_policy(world: World) -> Arranged:
    return list_images(world, world.user(allow("ecr:*"), other=True), world.account), ["resource"]


def ecr_across_accounts_with_no_side(world: World) -> Arranged:
    return list_images(world, world.user(other=True), world.account), ["resource", "identity"]


def ecr_across_accounts_without_an_own_policy(world: World) -> Arranged:
    world.repository_policy(to({"AWS": world.other}, allow("ecr:ListImages")))
    return list_images(world, world.user(other=True), world.account), ["identity"]


def ecr_across_accounts_with_an_aws_managed_policy(world: World) -> Arranged:
    world.repository_policy(to({"AWS": world.other}, allow("ecr:*")))
    keys = world.user(other=True)
    world.other_iam.attach_user_policy(UserName="ann", PolicyArn=READ_ONLY)
    ecr = keys.client(world.server, "ecr")
    return lambda: ecr.initiate_layer_upload(registryId=world.account, repositoryName="app"), ["identity"]


def ecr_root_of_another_account(world: World) -> Arranged:
    return list_images(world, world.other_root, world.account), ["resource"]


def ecr_condition_of_the_repository(world: World) -> Arranged:
    office = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    world.repository_policy(to({"AWS": world.other}, allow("ecr:ListImages", Condition=office)))
    return list_images(world, world.other_root, world.account), ["resource"]


def ecr_denied_by_the_registry(world: World) -> Arranged:
    world.registry_policy(
        {**deny("ecr:ListImages"), "Principal": "*"}, {**allow("ecr:ListTagsForResource"), "Principal": "*"}
    )
    return list_images(world, world.user(allow("ecr:*"))), ["resource"]


def ecr_across_accounts_where_there_is_a_registry_policy(world: World) -> Arranged:
    world.registry_policy({**allow("ecr:ListTagsForResource"), "Principal": {"AWS": world.other}})
    return list_images(world, world.other_root, world.account), ["resource"]


def create_repository(world: World, keys: Keys, account: str | None = None) -> Act:
    more = {} if account is None else {"registryId": account}
    return lambda: keys.client(world.server, "ecr").create_repository(repositoryName="new", **more)


def ecr_create_repository(world: World) -> Arranged:
    return create_repository(world, world.user()), ["identity"]


def ecr_create_repository_across_accounts(world: World) -> Arranged:
    return create_repository(world, world.other_root, world.account), ["resource"]


def ecr_registry_across_accounts(world: World) -> Arranged:
    ecr = world.other_root.client(world.server, "ecr")
    return lambda: ecr.describe_repositories(registryId=world.account), ["resource"]


def ecr_of_a_repository_that_is_not_there(world: World) -> Arranged:
    keys = world.user()
    return lambda: keys.client(world.server, "ecr").list_images(repositoryName="gone"), ["identity"]


def ecr_scp(world: World) -> Arranged:
    world.organize(scp=deny("ecr:ListImages"))
    return list_images(world, world.user(allow("ecr:*"))), ["scp"]


def ecr_no_scp(world: World) -> Arranged:
    world.organize(scp=allow("iam:*", "moorage:*"), only=True)
    return list_images(world, world.user(allow("ecr:*"))), ["scp"]


def ecr_rcp(world: World) -> Arranged:
    mine = {"StringNotEquals": {"aws:PrincipalAccount": MANAGEMENT}}
    world.organize(rcp={**deny("ecr:ListImages", Condition=mine), "Principal": "*"})
    return list_images(world, world.user(allow("ecr:*"))), ["rcp"]


def ecr_rcp_without_a_condition(world: World) -> Arranged:
    world.organize(rcp={**deny("ecr:ListImages"), "Principal": "*"})
    return list_images(world, world.user(allow("ecr:*"))), ["rcp"]


def ecr_anonymous(world: World) -> Arranged:
    push_image(world.ecr, "app", "v1")
    world.repository_policy(to({"AWS": world.other}, allow("ecr:BatchGetImage")))

    def act() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=60)
        path = f"/v2/{world.account}/us-east-1/app/manifests/v1"
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise Refused(newest_denial(world))

    return act, ["resource"]


def newest_denial(world: World) -> str:
    status, text = world.owner.post(world.server, "audit", {"newest_first": True, "verdict": "denied", "limit": 1})
    assert status == 200, text
    (event,) = json.loads(text)["events"]
    return str(event["requestID"])


def token_without_a_policy(world: World) -> Arranged:
    return login(world, world.user()), ["identity"]


def token_boundary(world: World) -> Arranged:
    boundary = world.managed(allow("ecr:ListImages"), name="boundary")
    return login(world, world.user(allow("ecr:*"), PermissionsBoundary=boundary)), ["boundary"]


def token_of_a_session(world: World) -> Arranged:
    world.role(allow("ecr:*"))
    world.session = {"Policy": document(allow("ecr:ListImages"))}
    return as_role(world, login), ["session"]


def token_scp(world: World) -> Arranged:
    world.organize(scp=deny("ecr:GetAuthorizationToken"))
    return login(world, world.user(allow("ecr:*"))), ["scp"]


def token_registry_policy(world: World) -> Arranged:
    world.registry_policy(
        {**deny("ecr:GetAuthorizationToken"), "Principal": "*"}, {**allow("ecr:ListTagsForResource"), "Principal": "*"}
    )
    return login(world, world.user(allow("ecr:*"))), ["resource"]


def assuming(world: World, keys: Keys, **more: Any) -> Act:
    return lambda: world.assume(keys, **more)


def sts_same_account_without_a_policy(world: World) -> Arranged:
    world.role()
    return assuming(world, world.user()), ["identity"]


def sts_aws_managed_only(world: World) -> Arranged:
    world.role()
    keys = world.user()
    world.iam.attach_user_policy(UserName="ann", PolicyArn=READ_ONLY)
    return assuming(world, keys), ["identity"]


def sts_not_trusted(world: World) -> Arranged:
    world.role(trust=to({"AWS": world.other}, allow("sts:AssumeRole")))
    return assuming(world, world.user(allow("sts:*"))), ["trust"]


def sts_denied_by_the_trust_policy(world: World) -> Arranged:
    world.role(trust=to("*", deny("sts:AssumeRole")))
    return assuming(world, world.user(allow("sts:*"))), ["trust"]


def sts_across_accounts_not_trusted(world: World) -> Arranged:
    world.role()
    return assuming(world, world.user(allow("sts:*"), other=True)), ["trust"]


def sts_across_accounts_with_no_side(world: World) -> Arranged:
    world.role()
    return assuming(world, world.user(other=True)), ["identity", "trust"]


def sts_across_accounts_without_an_own_policy(world: World) -> Arranged:
    world.role(trust=to({"AWS": world.other}, allow("sts:AssumeRole")))
    return assuming(world, world.user(other=True)), ["identity"]


def sts_external_id(world: World) -> Arranged:
    wanted = {"StringEquals": {"sts:ExternalId": "one"}}
    world.role(trust=to({"AWS": world.other}, allow("sts:AssumeRole", Condition=wanted)))
    return assuming(world, world.user(allow("sts:*"), other=True), ExternalId="two"), ["trust"]


def sts_tags(world: World) -> Arranged:
    world.role()
    keys = world.user(allow("sts:AssumeRole"))
    return assuming(world, keys, Tags=[{"Key": "team", "Value": "x"}]), ["trust"]


def sts_boundary(world: World) -> Arranged:
    world.role()
    return assuming(world, world.user(allow("sts:*"), PermissionsBoundary=READ_ONLY)), ["boundary"]


def sts_scp(world: World) -> Arranged:
    world.role()
    world.organize(scp=deny("sts:AssumeRole"))
    return assuming(world, world.user(allow("sts:*"))), ["scp"]


def sts_rcp(world: World) -> Arranged:
    world.role()
    mine = {"StringNotEquals": {"aws:PrincipalAccount": MANAGEMENT}}
    world.organize(rcp={**deny("sts:AssumeRole", Condition=mine), "Principal": "*"})
    return assuming(world, world.user(allow("sts:*"))), ["rcp"]


def sts_federation(world: World) -> Arranged:
    keys = world.user()
    return lambda: keys.client(world.server, "sts").get_federation_token(Name="bob"), ["identity"]


def iam_without_a_policy(world: World) -> Arranged:
    keys = world.user()
    return lambda: keys.client(world.server, "iam").get_user(UserName="ann"), ["identity"]


def iam_aws_managed_only(world: World) -> Arranged:
    keys = world.user()
    world.iam.attach_user_policy(UserName="ann", PolicyArn=READ_ONLY)
    return lambda: keys.client(world.server, "iam").create_group(GroupName="new"), ["identity"]


def iam_boundary(world: World) -> Arranged:
    keys = world.user(allow("iam:*"), PermissionsBoundary=READ_ONLY)
    return lambda: keys.client(world.server, "iam").list_users(), ["boundary"]


def iam_scp(world: World) -> Arranged:
    world.organize(scp=deny("iam:CreateGroup"))
    keys = world.user(allow("iam:*"))
    return lambda: keys.client(world.server, "iam").create_group(GroupName="new"), ["scp"]


def call(world: World, keys: Keys, path: str, body: dict[str, Any]) -> Act:
    """A call of Moorage's own."""

    def act() -> None:
        status, text = keys.post(world.server, path, body)
        if status != 200 and "AccessDenied" in text:
            raise Refused(newest_denial(world))

    return act


def moorage_without_a_policy(world: World) -> Arranged:
    return call(world, world.user(), "audit", {}), ["identity"]


def moorage_boundary(world: World) -> Arranged:
    keys = world.user(allow("moorage:*"), PermissionsBoundary=READ_ONLY)
    return call(world, keys, "audit", {}), ["boundary"]


def moorage_purge(world: World) -> Arranged:
    keys = world.user()
    body = {"repository": "app", "digest": "sha256:" + "0" * 64}
    return call(world, keys, "purge", body), ["identity"]


def moorage_access_across_accounts(world: World) -> Arranged:
    body = {"repository": "app", "account": world.account, "version": {}}
    return call(world, world.other_root, "access", body), ["resource"]


def moorage_restore_of_a_deleted_repository(world: World) -> Arranged:
    keys = world.user()
    world.ecr.delete_repository(repositoryName="app")
    return call(world, keys, "restore", {"repository": "app"}), ["identity"]


DENIALS = [
    value for name, value in list(globals().items()) if name.split("_")[0] in {"ecr", "token", "sts", "iam", "moorage"}
]


@pytest.mark.parametrize("arrange", DENIALS, ids=lambda arrange: str(arrange.__name__))
def test_what_is_proposed_lets_the_request_through(server: ServerProcess, arrange: Callable[[World], Arranged]) -> None:
    count = _in_a_new_world(server, arrange, 0)
    if count > 1:
        # Of those between them too the engine has shown that they do (`tests/policy/analysis/test_suggestions.py`).
        _in_a_new_world(server, arrange, count - 1)


def _in_a_new_world(server: ServerProcess, arrange: Callable[[World], Arranged], number: int) -> int:
    world = World(server)
    try:
        return _one(world, arrange, number)
    finally:
        if world.organization is not None:
            Keys(MANAGEMENT).post(server, "organization/delete", {})


def _one(world: World, arrange: Callable[[World], Arranged], number: int) -> int:
    """The proposal of that number is made true; how many there are."""
    act, sets = arrange(world)
    decision = denied(act)
    assert decision is not None
    views = [explain(world.server, keys, decision) for keys in (world.owner, world.other_root, *world.users)]
    for each in views:
        if each is not None:
            check(each)
    told = [each for each in views[:2] if each is not None]
    assert told
    whole = [each for each in told if not any(one.get("hidden") for one in each["sets"])]
    if whole:  # one account has both sides
        (first,) = whole
        assert first["suggestions"]
        assert list(dict.fromkeys(one["set"] for one in first["suggestions"][0]["changes"])) == sets
        suggestion = first["suggestions"][number]
        assert suggestion["hidden"] == []
        for change in {(one["set"], one["policy"], one["level"]): one for one in suggestion["changes"]}.values():
            world.apply(change, first["request"]["principal"])
        assert denied(act) is None, suggestion
        return len(first["suggestions"])
    proposed = []
    for each in told:
        # Each side does what it is told, and then asks the other.
        if each["suggestions"]:
            proposed += each["suggestions"][0]["changes"]
    assert sorted({one["set"] for one in proposed}) == sorted(sets)
    for change in {(one["set"], one["policy"], one["level"]): one for one in proposed}.values():
        world.apply(change, told[0]["request"]["principal"])
    assert denied(act) is None, proposed
    return 1


def told_to(world: World, keys: Keys, act: Act) -> dict[str, Any]:
    decision = denied(act)
    assert decision is not None
    told = explain(world.server, keys, decision)
    assert told is not None
    check(told)
    return told


def test_what_no_policy_can_allow_is_said(server: ServerProcess) -> None:
    world = World(server)
    told = told_to(world, world.other_root, call(world, world.other_root, "audit", {"account": world.account}))
    assert told["note"] == (
        f"only principals of account {world.account} can be allowed this: no policy grants it to other accounts"
    )
    assert (told["suggestions"], told["ask"]) == ([], [])
    assert told["note"] in lines(told)


def test_a_role_that_is_not_there_is_told_to_its_account_alone(server: ServerProcess) -> None:
    world = World(server)
    act = assuming(world, world.user(allow("sts:*"), other=True))
    role = f"arn:aws:iam::{world.account}:role/ci"
    assert told_to(world, world.owner, act)["note"] == f"there is no role {role}"
    told = told_to(world, world.other_root, act)
    assert told["note"] is None
    assert told["ask"] == [{"account": world.account, "policy": f"the trust policy of {role}", "certain": True}]
    assert f"to let arn:aws:iam::{world.other}:user/ann use sts:AssumeRole in the trust policy of {role}" in lines(told)


def test_whether_a_foreign_role_is_there_or_trusts_makes_no_difference_to_what_is_told(server: ServerProcess) -> None:
    answers = []
    for trust in (None, to({"AWS": MANAGEMENT}, allow("sts:AssumeRole")), to("*", allow("sts:AssumeRole"))):
        world = World(server)
        if trust is not None:
            world.role(trust=trust)
        told = told_to(world, world.other_root, assuming(world, world.user(other=True)))
        answers.append(([one["hidden"] for one in told["suggestions"]], told["note"], len(told["ask"])))
    assert answers[0] == answers[1] == answers[2] == ([["trust"]], None, 1)


def test_a_repository_that_is_not_there_is_told_to_its_account_alone(server: ServerProcess) -> None:
    world = World(server)
    ecr = world.other_root.client(server, "ecr")

    def act() -> None:
        ecr.list_images(registryId=world.account, repositoryName="gone")

    assert told_to(world, world.owner, act)["note"] == "there is no repository gone now"
    told = told_to(world, world.other_root, act)
    assert told["note"] is None
    assert told["ask"] == [{"account": world.account, "policy": "the repository policy", "certain": True}]
