"""What is taken away is gone on the very next request: in every worker, on both planes, on both databases.

Each case makes a caller whom every worker has just let through, so that all of them remember it, then takes
something away from it; from then on no worker may let it through even once.
"""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.ecr_push import push_image
from tests.support.oci_http import OciClient
from tests.support.server_process import Error, ServerProcess

ACCOUNT = "121212121212"
ARN = f"arn:aws:iam::{ACCOUNT}"
REPOSITORY = "revoked/app"
WORKERS = 4
ROUNDS = 12  # requests on connections of their own: with four workers each of them is asked, as good as surely
PULL_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"

DENIED = ("AccessDeniedException", 403)
UNKNOWN = ("UnrecognizedClientException", 401)


@pytest.fixture(scope="module")
def server(database_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(
        tmp_path_factory.mktemp("revocation") / "data", "--workers", str(WORKERS), *database_options
    ).start()
    ecr = running.client("ecr", ACCOUNT)
    ecr.create_repository(repositoryName=REPOSITORY)
    push_image(ecr, REPOSITORY, "v1")
    yield running
    assert running.stop() == 0


@pytest.fixture
def iam(server: ServerProcess) -> Any:
    return server.client("iam", ACCOUNT)


def policy(effect: str, *actions: str, **more: Any) -> str:
    statement = {"Effect": effect, "Action": list(actions), **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(*actions: str) -> str:
    return policy("Allow", *actions, Resource="*")


def trust(principal: str) -> str:
    return policy("Allow", "sts:AssumeRole", Principal={"AWS": principal})


LOGIN_ONLY, PULL = allow("ecr:GetAuthorizationToken"), allow("ecr:GetAuthorizationToken", "ecr:BatchGetImage")


class Caller:
    """Somebody with a key, and the registry password that was made with it while it was good."""

    def __init__(self, server: ServerProcess, key: str, secret: str, token: str | None = None) -> None:
        self.key = key
        self._ecr = server.client("ecr", key, secret, aws_session_token=token)
        sealed = self._ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(sealed).decode().partition(":")
        self._oci = OciClient(server, user, password)

    def api(self) -> str:
        """`allowed`, or the error's code; on a connection of its own."""
        self._ecr.close()
        try:
            self._ecr.batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "v1"}])
        except Error as error:
            return str(error.response["Error"]["Code"])
        return "allowed"

    def pull(self) -> int:
        """The status that a pull of the manifest gets; on a connection of its own."""
        return self._oci("GET", f"/v2/{ACCOUNT}/us-east-1/{REPOSITORY}/manifests/v1").status

    def seen(self) -> set[tuple[str, int]]:
        """What came of many requests, whichever workers they met."""
        return {(self.api(), self.pull()) for _ in range(ROUNDS)}


def user(server: ServerProcess, iam: Any, name: str) -> Caller:
    """A user who may log in (its inline policy `own`), and whatever a case gave it before."""
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Caller(server, key["AccessKeyId"], key["SecretAccessKey"])


def session(server: ServerProcess, role: str) -> Caller:
    made = server.client("sts", ACCOUNT).assume_role(RoleArn=f"{ARN}:role/{role}", RoleSessionName="ci")["Credentials"]
    return Caller(server, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


class Case(NamedTuple):
    """`make` lets the caller through; `revoke` takes that away; `refusal`: what the two planes then say."""

    make: Callable[[ServerProcess, Any, str], Caller]
    revoke: Callable[[ServerProcess, Any, str, Caller], object]
    refusal: tuple[str, int]


def with_inline_policy(server: ServerProcess, iam: Any, name: str) -> Caller:
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=PULL)
    return user(server, iam, name)


def with_attached_policy(server: ServerProcess, iam: Any, name: str) -> Caller:
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=PULL_ONLY)
    return user(server, iam, name)


def with_managed_policy(server: ServerProcess, iam: Any, name: str) -> Caller:
    iam.create_user(UserName=name)
    arn = iam.create_policy(PolicyName=name, PolicyDocument=PULL)["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    return user(server, iam, name)


def in_a_group(server: ServerProcess, iam: Any, name: str) -> Caller:
    iam.create_user(UserName=name)
    iam.create_group(GroupName=name)
    iam.put_group_policy(GroupName=name, PolicyName="own", PolicyDocument=PULL)
    iam.add_user_to_group(GroupName=name, UserName=name)
    return user(server, iam, name)


def of_a_role(server: ServerProcess, iam: Any, name: str) -> Caller:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(ACCOUNT))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=PULL)
    return session(server, name)


def new_version(iam: Any, name: str, document: str) -> object:
    return iam.create_policy_version(PolicyArn=f"{ARN}:policy/{name}", PolicyDocument=document, SetAsDefault=True)


def boundary(iam: Any, name: str) -> str:
    return str(iam.create_policy(PolicyName=f"{name}-boundary", PolicyDocument=LOGIN_ONLY)["Policy"]["Arn"])


def delete_role(iam: Any, name: str) -> None:
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    iam.delete_role(RoleName=name)


def delete_user(iam: Any, name: str, key: str) -> None:
    iam.delete_access_key(UserName=name, AccessKeyId=key)
    iam.delete_user_policy(UserName=name, PolicyName="own")
    iam.delete_user(UserName=name)


def deny_in_the_repository(server: ServerProcess, principal: str) -> object:
    return server.client("ecr", ACCOUNT).set_repository_policy(
        repositoryName=REPOSITORY, policyText=policy("Deny", "ecr:BatchGetImage", Principal={"AWS": principal})
    )


CASES = {
    "key-deleted": Case(
        with_inline_policy,
        lambda _server, iam, name, caller: iam.delete_access_key(UserName=name, AccessKeyId=caller.key),
        UNKNOWN,
    ),
    "key-deactivated": Case(
        with_inline_policy,
        lambda _server, iam, name, caller: iam.update_access_key(
            UserName=name, AccessKeyId=caller.key, Status="Inactive"
        ),
        UNKNOWN,
    ),
    "user-deleted": Case(
        with_inline_policy, lambda _server, iam, name, caller: delete_user(iam, name, caller.key), UNKNOWN
    ),
    "inline-policy-deleted": Case(
        with_inline_policy,
        lambda _server, iam, name, _caller: iam.delete_user_policy(UserName=name, PolicyName="own"),
        DENIED,
    ),
    "inline-policy-changed": Case(
        with_inline_policy,
        lambda _server, iam, name, _caller: iam.put_user_policy(
            UserName=name, PolicyName="own", PolicyDocument=LOGIN_ONLY
        ),
        DENIED,
    ),
    "policy-detached": Case(
        with_attached_policy,
        lambda _server, iam, name, _caller: iam.detach_user_policy(UserName=name, PolicyArn=PULL_ONLY),
        DENIED,
    ),
    "managed-policy-changed": Case(
        with_managed_policy, lambda _server, iam, name, _caller: new_version(iam, name, LOGIN_ONLY), DENIED
    ),
    "left-the-group": Case(
        in_a_group,
        lambda _server, iam, name, _caller: iam.remove_user_from_group(GroupName=name, UserName=name),
        DENIED,
    ),
    "user-bounded": Case(
        with_inline_policy,
        lambda _server, iam, name, _caller: iam.put_user_permissions_boundary(
            UserName=name, PermissionsBoundary=boundary(iam, name)
        ),
        DENIED,
    ),
    "role-bounded": Case(
        of_a_role,
        lambda _server, iam, name, _caller: iam.put_role_permissions_boundary(
            RoleName=name, PermissionsBoundary=boundary(iam, name)
        ),
        DENIED,
    ),
    "role-policy-deleted": Case(
        of_a_role,
        lambda _server, iam, name, _caller: iam.delete_role_policy(RoleName=name, PolicyName="own"),
        DENIED,
    ),
    "role-deleted": Case(of_a_role, lambda _server, iam, name, _caller: delete_role(iam, name), UNKNOWN),
    "user-denied-by-the-repository": Case(
        with_inline_policy,
        lambda server, _iam, name, _caller: deny_in_the_repository(server, f"{ARN}:user/{name}"),
        DENIED,
    ),
    "role-denied-by-the-repository": Case(
        of_a_role,
        lambda server, _iam, name, _caller: deny_in_the_repository(server, f"{ARN}:role/{name}"),
        DENIED,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_next_request_is_refused_by_every_worker_on_both_planes(server: ServerProcess, iam: Any, name: str) -> None:
    make, revoke, refusal = CASES[name]
    caller = make(server, iam, name)
    assert caller.seen() == {("allowed", 200)}
    revoke(server, iam, name, caller)
    assert caller.seen() == {refusal}


def test_a_role_that_trusts_somebody_no_more_is_not_taken_on_again(server: ServerProcess, iam: Any) -> None:
    iam.create_user(UserName="trusted")
    iam.put_user_policy(UserName="trusted", PolicyName="own", PolicyDocument=allow("sts:AssumeRole"))
    key = iam.create_access_key(UserName="trusted")["AccessKey"]
    iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=trust(f"{ARN}:user/trusted"))
    sts = server.client("sts", key["AccessKeyId"], key["SecretAccessKey"])

    def outcomes() -> set[str]:
        found = set()
        for _ in range(ROUNDS):
            sts.close()
            try:
                sts.assume_role(RoleArn=f"{ARN}:role/trusting", RoleSessionName="ci")
                found.add("allowed")
            except Error as error:
                found.add(error.response["Error"]["Code"])
        return found

    for _ in range(2):
        assert outcomes() == {"allowed"}
        iam.update_assume_role_policy(RoleName="trusting", PolicyDocument=trust("999988887777"))
        assert outcomes() == {"AccessDenied"}
        iam.update_assume_role_policy(RoleName="trusting", PolicyDocument=trust(ACCOUNT))


def test_what_is_given_again_counts_at_once_too(server: ServerProcess, iam: Any) -> None:
    caller = with_inline_policy(server, iam, "to-and-fro")
    for status, outcome in (("Inactive", UNKNOWN), ("Active", ("allowed", 200))) * 2:
        iam.update_access_key(UserName="to-and-fro", AccessKeyId=caller.key, Status=status)
        assert caller.seen() == {outcome}
