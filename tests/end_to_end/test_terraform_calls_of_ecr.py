"""The calls that Terraform's AWS provider makes of ECR, made by boto3 in the provider's order.

No Terraform runs here; `tests/clients/test_terraform.py` runs it where the machine has it. These tests follow the
provider's documentation: create, read back at once, update in place, delete, and ask until it is gone. They compare
what the provider compares, since any difference makes the next plan say "changed".
"""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.ecr_push import push_image
from tests.support.server_process import Error, ServerProcess

ACCOUNT = "333300004444"
READER = "333300005555"
REGION = "us-east-1"


@pytest.fixture
def ecr(server: ServerProcess) -> Any:
    return server.client("ecr", ACCOUNT)


_serials = itertools.count(1)


@pytest.fixture
def name(ecr: Any) -> Iterator[str]:
    """A repository of `resource "aws_ecr_repository"` with nothing but a name."""
    made = f"tf/repository-{next(_serials)}"
    ecr.create_repository(repositoryName=made, imageTagMutability="MUTABLE")
    yield made
    ecr.delete_repository(repositoryName=made, force=True)


def refused(call: Any, **fields: Any) -> str:
    with pytest.raises(Error) as error:
        call(**fields)
    return str(error.value.response["Error"]["Code"])


def state_of(ecr: Any, name: str) -> dict[str, Any]:
    """What the provider keeps of a repository after it has read it: the attributes of `aws_ecr_repository`."""
    (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
    return {
        "arn": repository["repositoryArn"],
        "name": repository["repositoryName"],
        "registry_id": repository["registryId"],
        "repository_url": repository["repositoryUri"],
        "image_tag_mutability": repository["imageTagMutability"],
        "image_tag_mutability_exclusion_filter": [
            (each["filterType"], each["filter"]) for each in repository.get("imageTagMutabilityExclusionFilters", [])
        ],
        "scan_on_push": repository["imageScanningConfiguration"]["scanOnPush"],
        "encryption_type": repository["encryptionConfiguration"]["encryptionType"],
        "kms_key": repository["encryptionConfiguration"].get("kmsKey", ""),
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }


def update_tags(ecr: Any, arn: str, old: dict[str, str], new: dict[str, str]) -> None:
    """As the provider changes tags: first those that go, then those that are new or differ."""
    gone = [key for key in old if key not in new]
    if gone:
        ecr.untag_resource(resourceArn=arn, tagKeys=gone)
    changed = [{"Key": key, "Value": value} for key, value in new.items() if old.get(key) != value]
    if changed:
        ecr.tag_resource(resourceArn=arn, tags=changed)


@pytest.mark.usefixtures("server")
def test_aws_ecr_repository(ecr: Any) -> None:
    name = "tf/whole"
    assert refused(ecr.describe_repositories, repositoryNames=[name]) == "RepositoryNotFoundException"
    made = ecr.create_repository(
        repositoryName=name,
        imageTagMutability="MUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "AES256"},
        tags=[{"Key": "env", "Value": "test"}, {"Key": "team", "Value": "a"}],
    )["repository"]
    state = state_of(ecr, name)
    assert state == {
        "arn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}",
        "name": name,
        "registry_id": ACCOUNT,
        "repository_url": made["repositoryUri"],
        "image_tag_mutability": "MUTABLE",
        "image_tag_mutability_exclusion_filter": [],
        "scan_on_push": True,
        "encryption_type": "AES256",
        "kms_key": "",
        "tags": {"env": "test", "team": "a"},
    }
    assert state["repository_url"].endswith(f"/{name}")
    assert "://" not in state["repository_url"]
    assert state_of(ecr, name) == state  # plan: no changes

    # Updates in place: each changes what it names and nothing else.
    for mutability, filters in (
        ("IMMUTABLE", []),
        ("IMMUTABLE_WITH_EXCLUSION", [("WILDCARD", "latest*"), ("WILDCARD", "dev-*")]),
        ("MUTABLE_WITH_EXCLUSION", [("WILDCARD", "v*")]),
        ("MUTABLE", []),
    ):
        given: dict[str, Any] = {"imageTagMutability": mutability}
        if filters:
            given["imageTagMutabilityExclusionFilters"] = [
                {"filterType": kind, "filter": text} for kind, text in filters
            ]
        ecr.put_image_tag_mutability(registryId=ACCOUNT, repositoryName=name, **given)
        state |= {"image_tag_mutability": mutability, "image_tag_mutability_exclusion_filter": filters}
        assert state_of(ecr, name) == state
    for flag in (False, True):
        ecr.put_image_scanning_configuration(
            registryId=ACCOUNT, repositoryName=name, imageScanningConfiguration={"scanOnPush": flag}
        )
        state["scan_on_push"] = flag
        assert state_of(ecr, name) == state
    for tags in ({"env": "prod", "team": "a"}, {"env": "prod", "cost": "42"}, {}, {"env": ""}):
        update_tags(ecr, state["arn"], state["tags"], tags)
        state["tags"] = tags
        assert state_of(ecr, name) == state

    # Destroy: refused while images are there, unless force_delete; then it asks until the repository is gone.
    push_image(ecr, name, "v1")
    assert (
        refused(ecr.delete_repository, registryId=ACCOUNT, repositoryName=name, force=False)
        == "RepositoryNotEmptyException"
    )
    assert state_of(ecr, name) == state
    gone = ecr.delete_repository(registryId=ACCOUNT, repositoryName=name, force=True)["repository"]
    assert gone["repositoryArn"] == state["arn"]
    assert refused(ecr.describe_repositories, repositoryNames=[name]) == "RepositoryNotFoundException"
    assert refused(ecr.list_tags_for_resource, resourceArn=state["arn"]) == "RepositoryNotFoundException"
    # The provider takes that it is gone already for success.
    assert refused(ecr.delete_repository, repositoryName=name, force=True) == "RepositoryNotFoundException"


def test_a_replaced_repository_starts_afresh(ecr: Any) -> None:
    """What forces replacement (a new encryption) is a delete and a create of the same name at once."""
    name = "tf/replaced"
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE", tags=[{"Key": "old", "Value": "1"}])
    ecr.set_repository_policy(repositoryName=name, policyText=pulling(READER))
    push_image(ecr, name, "v1")
    ecr.delete_repository(registryId=ACCOUNT, repositoryName=name, force=True)
    ecr.create_repository(
        repositoryName=name, imageTagMutability="MUTABLE", encryptionConfiguration={"encryptionType": "KMS"}
    )
    state = state_of(ecr, name)
    assert (state["image_tag_mutability"], state["scan_on_push"], state["tags"]) == ("MUTABLE", False, {})
    assert state["encryption_type"] == "KMS"
    assert state["kms_key"].startswith("arn:aws:kms:")
    assert state_of(ecr, name) == state
    assert refused(ecr.get_repository_policy, repositoryName=name) == "RepositoryPolicyNotFoundException"
    assert ecr.list_images(repositoryName=name)["imageIds"] == []
    ecr.delete_repository(registryId=ACCOUNT, repositoryName=name)


def test_a_repository_that_is_there_already_is_not_taken_over(ecr: Any, name: str) -> None:
    code = refused(ecr.create_repository, repositoryName=name, imageTagMutability="MUTABLE")
    assert code == "RepositoryAlreadyExistsException"


def test_the_data_sources(ecr: Any, name: str) -> None:
    """aws_ecr_repository, aws_ecr_repositories, aws_ecr_image, aws_ecr_authorization_token."""
    digest = push_image(ecr, name, "v1")
    ecr.put_image(
        repositoryName=name,
        imageManifest=ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])["images"][0][
            "imageManifest"
        ],
        imageTag="latest",
    )
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=name, registryId=ACCOUNT)
    details = [each for page in pages for each in page["imageDetails"]]
    newest = max(details, key=lambda each: each["imagePushedAt"])
    assert sorted(newest["imageTags"]) == ["latest", "v1"]
    (image,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "latest"}])["imageDetails"]
    assert (image["imageDigest"], image["registryId"]) == (digest, ACCOUNT)
    assert image["imageSizeInBytes"] > 0
    named = ecr.get_paginator("describe_repositories").paginate()
    assert name in [each["repositoryName"] for page in named for each in page["repositories"]]
    (token,) = ecr.get_authorization_token()["authorizationData"]
    assert token["proxyEndpoint"].startswith("http")
    assert token["expiresAt"]


# aws_ecr_repository_policy


def statement(actions: Any, principal: Any, **more: Any) -> dict[str, Any]:
    return {"Action": actions, "Effect": "Allow", "Principal": principal, **more}


def document(*statements: dict[str, Any]) -> str:
    """As `jsonencode` and the policy document data source write it: keys sorted."""
    return json.dumps({"Statement": list(statements), "Version": "2012-10-17"}, sort_keys=True)


def pulling(account: str) -> str:
    return document(statement(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], {"AWS": account}))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def normal(policy: str) -> Any:
    """A policy as the provider's comparison sees it: no order, no difference of one and a list of one, `*` for
    everybody, an account for its root."""

    def entry(value: Any) -> str:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f"arn:aws:iam::{text}:root" if text.isdigit() and len(text) == 12 else text

    def principals(value: Any) -> Any:
        named = {"AWS": "*"} if value == "*" else value
        return {kind: sorted(map(entry, listed(each))) for kind, each in named.items()}

    def normal_statement(each: dict[str, Any]) -> dict[str, Any]:
        conditions = {
            operator: {key.lower(): sorted(map(str, listed(values))) for key, values in keys.items()}
            for operator, keys in each.get("Condition", {}).items()
        }
        whom: dict[str, Any] = {key: principals(each[key]) for key in ("Principal", "NotPrincipal") if key in each}
        what: dict[str, Any] = {key: sorted(listed(each[key])) for key in ("Action", "NotAction") if key in each}
        return {"Sid": each.get("Sid", ""), "Effect": each["Effect"], "Condition": conditions, **whom, **what}

    told = json.loads(policy)
    statements = sorted(map(normal_statement, listed(told["Statement"])), key=json.dumps)
    return {"Version": told.get("Version"), "Id": told.get("Id"), "Statement": statements}


def retried(call: Callable[..., Any], between: Callable[[], object], **fields: Any) -> int:
    """Call as the provider does: again while the answer says that a principal is not known yet. How often it was
    called; `between` is what happens meanwhile."""
    for calls in itertools.count(1):
        try:
            call(**fields)
        except Error as error:
            told = error.response["Error"]
            waits = "Invalid repository policy provided" in told["Message"] or "Principal not found" in told["Message"]
            assert told["Code"] == "InvalidParameterException"
            assert waits
            assert calls < 10
            between()
        else:
            return calls
    raise AssertionError


@pytest.mark.parametrize(
    "policy",
    [
        pulling(READER),
        pulling(f"arn:aws:iam::{READER}:root"),
        document(statement("ecr:BatchGetImage", "*", Sid="one of its own")),
        document(statement(["ecr:PutImage"], {"AWS": [READER]})),
        document(statement(["ecr:PutImage", "ecr:BatchGetImage"], {"AWS": [READER, ACCOUNT, "999988887777"]})),
        document(
            statement("ecr:BatchGetImage", {"AWS": READER}, Sid="a"),
            statement(["ecr:Get*", "ecr:Describe*"], {"Service": ["codebuild.amazonaws.com"]}, Sid="b"),
        ),
        document(
            statement(
                "ecr:BatchGetImage",
                "*",
                Condition={
                    "StringEquals": {"aws:PrincipalTag/team": ["a", "b"], "aws:PrincipalOrgID": "o-abcdefghij"},
                    "Bool": {"aws:SecureTransport": True},
                    "IpAddress": {"aws:SourceIp": ["192.0.2.0/24"]},
                },
            )
        ),
        json.dumps({"Version": "2008-10-17", "Id": "an id", "Statement": statement("ecr:BatchGetImage", "*")}),
        json.dumps(json.loads(pulling(READER)), indent=4) + "\n",
    ],
)
def test_a_policy_reads_back_as_what_was_written(ecr: Any, name: str, policy: str) -> None:
    ecr.set_repository_policy(repositoryName=name, policyText=policy)
    answer = ecr.get_repository_policy(repositoryName=name)
    assert (answer["repositoryName"], answer["registryId"]) == (name, ACCOUNT)
    assert normal(answer["policyText"]) == normal(policy)
    # Read again, and written again as it was read: never a change to plan.
    assert ecr.get_repository_policy(repositoryName=name)["policyText"] == answer["policyText"]
    ecr.set_repository_policy(repositoryName=name, policyText=answer["policyText"])
    assert ecr.get_repository_policy(repositoryName=name)["policyText"] == answer["policyText"]


def test_aws_ecr_repository_policy(ecr: Any, name: str) -> None:
    assert refused(ecr.get_repository_policy, repositoryName=name) == "RepositoryPolicyNotFoundException"
    for policy in (pulling(READER), pulling("999988887777")):
        ecr.set_repository_policy(repositoryName=name, policyText=policy)
        assert normal(ecr.get_repository_policy(repositoryName=name, registryId=ACCOUNT)["policyText"]) == normal(
            policy
        )
    ecr.delete_repository_policy(repositoryName=name, registryId=ACCOUNT)
    assert refused(ecr.get_repository_policy, repositoryName=name) == "RepositoryPolicyNotFoundException"
    assert refused(ecr.delete_repository_policy, repositoryName=name) == "RepositoryPolicyNotFoundException"
    # Destroyed after its repository: for the provider that is success too.
    for call in (ecr.get_repository_policy, ecr.delete_repository_policy):
        assert refused(call, repositoryName="tf/not-there") == "RepositoryNotFoundException"


def test_a_policy_that_names_a_role_of_the_same_plan(server: ServerProcess, ecr: Any, name: str) -> None:
    iam = server.client("iam", ACCOUNT)
    trust = document({"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"AWS": ACCOUNT}})

    def make(role: str) -> str:
        return str(iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"])

    # Made just before: no waiting as in AWS, the first call is taken.
    first = make("tf-puller")
    policy = document(statement("ecr:BatchGetImage", {"AWS": first}))
    assert retried(ecr.set_repository_policy, lambda: None, repositoryName=name, policyText=policy) == 1
    assert normal(ecr.get_repository_policy(repositoryName=name)["policyText"]) == normal(policy)

    # Made by somebody else meanwhile: refused with what the provider waits on, then taken; until then nothing changes.
    late = document(statement("ecr:BatchGetImage", {"AWS": [first, first.replace("puller", "late")]}))

    def meanwhile() -> None:
        assert normal(ecr.get_repository_policy(repositoryName=name)["policyText"]) == normal(policy)
        make("tf-late")

    assert retried(ecr.set_repository_policy, meanwhile, repositoryName=name, policyText=late) == 2
    assert normal(ecr.get_repository_policy(repositoryName=name)["policyText"]) == normal(late)

    # The role replaced (deleted, made again): the policy shows another principal, so the plan sets it again.
    iam.delete_role(RoleName="tf-late")
    make("tf-late")
    assert normal(ecr.get_repository_policy(repositoryName=name)["policyText"]) != normal(late)
    assert retried(ecr.set_repository_policy, lambda: None, repositoryName=name, policyText=late) == 1
    assert normal(ecr.get_repository_policy(repositoryName=name)["policyText"]) == normal(late)
    for role in ("tf-late", "tf-puller"):
        iam.delete_role(RoleName=role)


def test_a_policy_that_is_wrong_is_refused_with_what_the_provider_gives_up_on(ecr: Any, name: str) -> None:
    wrong = document(statement("ecr:BatchGetImage", "*", Resource="*"))
    with pytest.raises(Error, match="Invalid repository policy provided") as error:
        ecr.set_repository_policy(repositoryName=name, policyText=wrong)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert refused(ecr.get_repository_policy, repositoryName=name) == "RepositoryPolicyNotFoundException"
