"""STS through boto3 against a running server: roles taken on, chained, limited, tagged; web identities; federation."""

import base64
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import UNSIGNED

from tests.identity.credentials.oidc_tokens import ISSUER, Signer, issuers_file
from tests.support.command_line import run_moorage
from tests.support.server_process import Error, ServerProcess

ACCOUNT = "000000000000"
OTHER = "111122223333"
SIGNER = Signer("one")
NAME = ISSUER.removeprefix("https://")
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{NAME}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("sts")
    environment = {"MOORAGE_OIDC_ISSUERS": str(issuers_file(directory, SIGNER))}
    running = ServerProcess(directory / "data").start(environment=environment)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def iam(server: ServerProcess) -> Any:
    return server.client("iam")


def allowing(*actions: str, resource: str = "*", **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusting(principal: Any, *actions: str, **more: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions or ("sts:AssumeRole",)), **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class People:
    """Makes users and roles of an account under names of their own."""

    def __init__(self, server: ServerProcess, account: str = ACCOUNT) -> None:
        self.server = server
        self.account = account
        self.iam = server.client("iam", account)

    def user(self, name: str, policy: str | None = None) -> tuple[str, str]:
        self.iam.create_user(UserName=name)
        if policy is not None:
            self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def role(self, name: str, trust: str, policy: str | None = None, **more: Any) -> str:
        arn: str = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **more)["Role"]["Arn"]
        if policy is not None:
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return arn


@pytest.fixture(scope="module")
def people(server: ServerProcess) -> People:
    return People(server)


@pytest.fixture(scope="module")
def others(server: ServerProcess) -> People:
    return People(server, OTHER)


def as_session(server: ServerProcess, service: str, credentials: dict[str, str]) -> Any:
    return server.client(
        service,
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def code(caught: "pytest.ExceptionInfo[Any]") -> str:
    return str(caught.value.response["Error"]["Code"])


def text(caught: "pytest.ExceptionInfo[Any]") -> str:
    return str(caught.value.response["Error"]["Message"])


def test_a_role_is_taken_on_and_has_the_roles_rights_and_no_others(server: ServerProcess, people: People) -> None:
    user = people.user("ann", allowing("sts:AssumeRole"))
    role = people.role("reader", trusting({"AWS": ACCOUNT}), allowing("ecr:DescribeRepositories"), Path="/ci/")
    answer = server.client("sts", *user).assume_role(RoleArn=role, RoleSessionName="ci-1")
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/ci-1"
    assert answer["AssumedRoleUser"]["AssumedRoleId"].startswith("AROA")
    assert "PackedPolicySize" not in answer
    lasts = answer["Credentials"]["Expiration"].timestamp() - time.time()
    assert 3590 < lasts <= 3601
    session = as_session(server, "ecr", answer["Credentials"])
    session.describe_repositories()
    with pytest.raises(Error) as caught:
        session.create_repository(repositoryName="sts/no")
    assert text(caught) == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/reader/ci-1 is not authorized to perform: ecr:CreateRepository on "
        f"resource: arn:aws:ecr:us-east-1:{ACCOUNT}:repository/sts/no because no identity-based policy allows the "
        "ecr:CreateRepository action"
    )
    identity = as_session(server, "sts", answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert identity["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]


def test_whom_the_role_does_not_trust_may_not_and_a_missing_role_says_the_same(
    server: ServerProcess, people: People
) -> None:
    user = people.user("untrusted", allowing("*"))
    role = people.role("for-others", trusting({"AWS": OTHER}))
    sts = server.client("sts", *user)
    messages = []
    for arn in (role, f"arn:aws:iam::{ACCOUNT}:role/not-there"):
        with pytest.raises(Error) as caught:
            sts.assume_role(RoleArn=arn, RoleSessionName="me")
        assert code(caught) == "AccessDenied"
        messages.append(text(caught).replace(arn, "ROLE"))
    assert messages[0] == messages[1]
    assert messages[0].endswith("on resource: ROLE because no role trust policy allows the sts:AssumeRole action")


def test_across_accounts_both_sides_must_agree_and_the_external_id_fits(
    server: ServerProcess, people: People, others: People
) -> None:
    role = people.role("partner", trusting({"AWS": OTHER}, Condition={"StringEquals": {"sts:ExternalId": "s3cret-id"}}))
    without = server.client("sts", *others.user("without"))
    with pytest.raises(Error) as caught:
        without.assume_role(RoleArn=role, RoleSessionName="me", ExternalId="s3cret-id")
    assert "no identity-based policy allows the sts:AssumeRole action" in text(caught)
    sts = server.client("sts", *others.user("with", allowing("sts:AssumeRole", resource=role)))
    for wrong in ({}, {"ExternalId": "guess"}):
        with pytest.raises(Error) as caught:
            sts.assume_role(RoleArn=role, RoleSessionName="me", **wrong)
        assert "no role trust policy allows" in text(caught)
    assert sts.assume_role(RoleArn=role, RoleSessionName="me", ExternalId="s3cret-id")["Credentials"]


def test_a_session_policy_limits_and_a_policy_arn_does_too(server: ServerProcess, people: People) -> None:
    user = people.user("limiter", allowing("sts:AssumeRole"))
    role = people.role("wide", trusting({"AWS": ACCOUNT}), allowing("ecr:*"))
    sts = server.client("sts", *user)
    inline = sts.assume_role(RoleArn=role, RoleSessionName="me", Policy=allowing("ecr:DescribeRepositories"))
    assert 0 < inline["PackedPolicySize"] <= 100
    managed = sts.assume_role(
        RoleArn=role,
        RoleSessionName="me",
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"}],
    )
    for answer in (inline, managed):
        session = as_session(server, "ecr", answer["Credentials"])
        session.describe_repositories()
        with pytest.raises(Error) as caught:
            session.create_repository(repositoryName="sts/limited")
        assert text(caught).endswith("because no session policy allows the ecr:CreateRepository action")


def test_tags_follow_the_session_and_the_chain_and_need_their_own_right(server: ServerProcess, people: People) -> None:
    user = people.user("tagger", allowing("sts:AssumeRole", "sts:TagSession"))
    untagged = people.role("no-tags", trusting({"AWS": ACCOUNT}))
    first = people.role(
        "first",
        trusting({"AWS": ACCOUNT}, "sts:AssumeRole", "sts:TagSession"),
        allowing("sts:AssumeRole", "sts:TagSession"),
    )
    second = people.role(
        "second",
        trusting({"AWS": first}, "sts:AssumeRole", "sts:TagSession"),
        allowing("ecr:CreateRepository", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}),
    )
    sts = server.client("sts", *user)
    tags = [{"Key": "team", "Value": "blue"}, {"Key": "stays", "Value": "here"}]
    with pytest.raises(Error) as caught:
        sts.assume_role(RoleArn=untagged, RoleSessionName="me", Tags=tags)
    assert "sts:TagSession" in text(caught)
    one = sts.assume_role(RoleArn=first, RoleSessionName="me", Tags=tags, TransitiveTagKeys=["team"])
    chained = as_session(server, "sts", one["Credentials"])
    with pytest.raises(Error) as caught:
        chained.assume_role(RoleArn=second, RoleSessionName="me", Tags=[{"Key": "Team", "Value": "red"}])
    assert code(caught) == "InvalidParameterValue"
    two = chained.assume_role(RoleArn=second, RoleSessionName="me")
    as_session(server, "ecr", two["Credentials"]).create_repository(repositoryName="sts/blue")


def test_a_source_identity_stays_and_a_chain_lasts_an_hour(server: ServerProcess, people: People) -> None:
    actions = ("sts:AssumeRole", "sts:SetSourceIdentity")
    user = people.user("sourced", allowing(*actions))
    first = people.role("src-1", trusting({"AWS": ACCOUNT}, *actions), allowing(*actions), MaxSessionDuration=7200)
    second = people.role("src-2", trusting({"AWS": first}, *actions), MaxSessionDuration=7200)
    sts = server.client("sts", *user)
    one = sts.assume_role(RoleArn=first, RoleSessionName="me", SourceIdentity="ann", DurationSeconds=7200)
    assert one["SourceIdentity"] == "ann"
    chained = as_session(server, "sts", one["Credentials"])
    with pytest.raises(Error) as caught:
        chained.assume_role(RoleArn=second, RoleSessionName="me", SourceIdentity="bob")
    assert code(caught) == "AccessDenied"
    with pytest.raises(Error) as caught:
        chained.assume_role(RoleArn=second, RoleSessionName="me", DurationSeconds=7200)
    assert text(caught) == (
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    )
    assert chained.assume_role(RoleArn=second, RoleSessionName="me")["SourceIdentity"] == "ann"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"DurationSeconds": 899}, "ValidationError"),
        ({"DurationSeconds": 43201}, "ValidationError"),
        ({"DurationSeconds": 3601}, "ValidationError"),
        ({"RoleSessionName": "a b"}, "ValidationError"),
        ({"RoleSessionName": "a"}, "ValidationError"),
        ({"RoleArn": "arn:aws:iam::000000000000:user/x"}, "ValidationError"),
        ({"RoleArn": "short"}, "ValidationError"),
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"Policy": allowing("x:" + "y" * 2048)}, "PackedPolicyTooLarge"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/NotThere"}]}, "ValidationError"),
        ({"PolicyArns": [{"arn": f"arn:aws:iam::aws:policy/N{n}"} for n in range(11)]}, "ValidationError"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]}, "InvalidParameterValue"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "ValidationError"),
        ({"TransitiveTagKeys": ["not-passed"]}, "InvalidParameterValue"),
        ({"ExternalId": "x"}, "ValidationError"),
    ],
    ids=str,
)
def test_bad_input_is_refused(server: ServerProcess, people: People, given: dict[str, Any], expected: str) -> None:
    try:
        people.iam.get_role(RoleName="strict")
    except Error:
        people.role("strict", trusting({"AWS": ACCOUNT}, "sts:*"))
    fields = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/strict", "RoleSessionName": "me", **given}
    with pytest.raises(Error) as caught:
        server.client("sts").assume_role(**fields)
    assert code(caught) == expected


def test_a_deleted_role_ends_its_sessions_on_the_next_request(server: ServerProcess, people: People) -> None:
    role = people.role("short-lived", trusting({"AWS": ACCOUNT}), allowing("ecr:*"))
    answer = server.client("sts").assume_role(RoleArn=role, RoleSessionName="me")
    session = as_session(server, "ecr", answer["Credentials"])
    password = base64.b64decode(
        session.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    ).decode()
    ping = urllib.request.Request(f"{server.url}/v2/")
    ping.add_header("Authorization", "Basic " + base64.b64encode(password.encode()).decode())
    assert urllib.request.urlopen(ping).status == 200
    people.iam.delete_role_policy(RoleName="short-lived", PolicyName="p")
    with pytest.raises(Error) as caught:
        session.describe_repositories()
    assert code(caught) == "AccessDeniedException"
    people.iam.delete_role(RoleName="short-lived")
    with pytest.raises(Error) as caught:
        session.describe_repositories()
    assert code(caught) == "UnrecognizedClientException"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(ping)


def test_the_root_takes_on_no_role(server: ServerProcess, people: People) -> None:
    role = people.role("not-for-root", trusting({"AWS": ACCOUNT}))
    key = people.iam.create_access_key()["AccessKey"]
    with pytest.raises(Error, match="Roles may not be assumed by root accounts"):
        server.client("sts", key["AccessKeyId"], key["SecretAccessKey"]).assume_role(RoleArn=role, RoleSessionName="me")


def test_a_web_identity_takes_on_the_role_that_names_its_claims(server: ServerProcess, people: People) -> None:
    role = people.role(
        "github",
        trusting(
            {"Federated": PROVIDER},
            "sts:AssumeRoleWithWebIdentity",
            Condition={
                "StringEquals": {f"{NAME}:aud": "sts.amazonaws.com"},
                "StringLike": {f"{NAME}:sub": "repo:team/app:*"},
            },
        ),
        allowing("ecr:CreateRepository", Condition={"StringEquals": {f"{NAME}:repository": "team/app"}}),
    )
    anonymous = server.client("sts", config={"signature_version": UNSIGNED})
    token = SIGNER.token(time.time(), repository="team/app")
    answer = anonymous.assume_role_with_web_identity(RoleArn=role, RoleSessionName="run-7", WebIdentityToken=token)
    assert answer["SubjectFromWebIdentityToken"] == "repo:team/app:ref:refs/heads/main"
    assert (answer["Provider"], answer["Audience"]) == (ISSUER, "sts.amazonaws.com")
    as_session(server, "ecr", answer["Credentials"]).create_repository(repositoryName="sts/by-web-identity")

    other = SIGNER.token(time.time(), sub="repo:evil/app:main")
    with pytest.raises(Error) as caught:
        anonymous.assume_role_with_web_identity(RoleArn=role, RoleSessionName="run-7", WebIdentityToken=other)
    assert text(caught).endswith("because no role trust policy allows the sts:AssumeRoleWithWebIdentity action")
    with pytest.raises(Error) as caught:
        anonymous.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="run-7", WebIdentityToken=Signer("one").token(time.time())
        )
    assert code(caught) == "InvalidIdentityToken"
    with pytest.raises(Error) as caught:
        anonymous.assume_role(RoleArn=role, RoleSessionName="run-7")
    assert code(caught) == "MissingAuthenticationToken"


TAGS = "https://aws.amazon.com/tags"
SOURCE = "https://aws.amazon.com/source_identity"


@pytest.mark.parametrize(
    "claims",
    [
        {TAGS: {"principal_tags": {"team": ["a"], "Team": ["b"]}}},
        {TAGS: {"principal_tags": {"aws:team": ["a"]}}},
        {TAGS: {"principal_tags": {"team": "a"}}},
        {TAGS: {"principal_tags": {"team": ["a", "b"]}}},
        {TAGS: {"principal_tags": {"team": []}}},
        {TAGS: {"principal_tags": {"": ["a"]}}},
        {TAGS: {"principal_tags": {"team": ["a" * 257]}}},
        {TAGS: {"principal_tags": {f"k{n}": ["a"] for n in range(51)}}},
        {TAGS: {"principal_tags": {"team": ["a"]}, "transitive_tag_keys": "team"}},
        {TAGS: ["team"]},
        {SOURCE: ["ada"]},
        {SOURCE: "a"},
        {SOURCE: "ada lovelace"},
        {SOURCE: "a" * 65},
    ],
    ids=lambda claims: str(claims)[:80],
)
def test_tags_and_a_source_identity_that_a_token_may_not_have(
    server: ServerProcess, people: People, claims: dict[str, Any]
) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/tagged-by-token"
    try:
        people.iam.get_role(RoleName="tagged-by-token")
    except Error:
        people.role("tagged-by-token", trusting({"Federated": PROVIDER}, "sts:*"))
    anonymous = server.client("sts", config={"signature_version": UNSIGNED})

    def take_on(**said: Any) -> Any:
        return anonymous.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="me", WebIdentityToken=SIGNER.token(time.time(), **said)
        )

    good = {TAGS: {"principal_tags": {"team": ["a"]}, "transitive_tag_keys": ["team"]}, SOURCE: "ada"}
    assert take_on(**good)["SourceIdentity"] == "ada"
    with pytest.raises(Error) as caught:
        take_on(**claims)
    assert code(caught) == "InvalidIdentityToken"


def test_a_federated_user_has_what_the_session_policy_leaves_of_its_makers_rights(
    server: ServerProcess, people: People
) -> None:
    user = people.user("maker", allowing("sts:GetFederationToken", "ecr:*"))
    sts = server.client("sts", *user)
    answer = sts.get_federation_token(Name="guest", Policy=allowing("ecr:DescribeRepositories", "iam:*"))
    assert answer["FederatedUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    guest = as_session(server, "ecr", answer["Credentials"])
    guest.describe_repositories()
    with pytest.raises(Error, match="no session policy allows the ecr:CreateRepository action"):
        guest.create_repository(repositoryName="sts/guest")
    nothing = as_session(server, "ecr", sts.get_federation_token(Name="nobody")["Credentials"])
    with pytest.raises(Error, match="no session policy allows the ecr:DescribeRepositories action"):
        nothing.describe_repositories()
    with pytest.raises(Error, match="session credentials"):
        as_session(server, "sts", answer["Credentials"]).get_federation_token(Name="again")
    with pytest.raises(Error, match="federation credentials"):
        as_session(server, "sts", answer["Credentials"]).assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/reader", RoleSessionName="me"
        )


def test_a_denial_is_decoded_for_whoever_may_know_it(server: ServerProcess, people: People) -> None:
    may_decode = people.user("decoder", allowing("sts:DecodeAuthorizationMessage"))
    may_not = people.user("curious", allowing("sts:GetCallerIdentity"))
    with pytest.raises(Error) as caught:
        server.client("ecr", *may_decode).describe_repositories()
    denial = caught.value.response["ResponseMetadata"]["RequestId"]
    answer = server.client("sts", *may_decode).decode_authorization_message(EncodedMessage=denial)
    message = json.loads(answer["DecodedMessage"])
    assert (message["allowed"], message["explicitDeny"]) == (False, False)
    assert message["context"]["action"] == "ecr:DescribeRepositories"
    assert {"key": "aws:username", "values": {"items": [{"value": "decoder"}]}} in message["context"]["conditions"][
        "items"
    ]
    with pytest.raises(Error) as caught:
        server.client("sts", *may_not).decode_authorization_message(EncodedMessage=denial)
    assert code(caught) == "AccessDenied"
    with pytest.raises(Error) as caught:
        server.client("sts", *may_decode).decode_authorization_message(EncodedMessage="x" * 36)
    assert code(caught) == "InvalidAuthorizationMessageException"


def test_why_tells_an_administrator_what_the_trust_policy_lacks(server: ServerProcess, people: People) -> None:
    role = people.role("why-trust", trusting({"AWS": OTHER}))
    user = people.user("asks-why", allowing("sts:AssumeRole"))
    with pytest.raises(Error) as caught:
        server.client("sts", *user).assume_role(RoleArn=role, RoleSessionName="me")
    denial = caught.value.response["ResponseMetadata"]["RequestId"]
    told = run_moorage("why", denial, "--port", str(server.port), env={**os.environ, "NO_COLOR": "1"}).stdout
    assert "trust" in told
    assert "in the trust policy" in told or "to the trust policy" in told


@pytest.mark.usefixtures("people")
def test_get_access_key_info_tells_the_account(server: ServerProcess, others: People) -> None:
    key, _ = others.user("keyed")
    assert server.client("sts").get_access_key_info(AccessKeyId=key)["Account"] == OTHER
    with pytest.raises(Error) as caught:
        server.client("sts").get_access_key_info(AccessKeyId="AKIA" + "X" * 16)
    assert code(caught) == "ValidationError"
