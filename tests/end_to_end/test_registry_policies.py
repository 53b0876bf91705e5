"""Registry policies through boto3, and obeyed on both doors on the very next request."""

import contextlib
import json
from typing import Any

import pytest

from tests.support.command_line import run_moorage
from tests.support.ecr_push import push_image
from tests.support.oci_http import OciClient
from tests.support.server_process import Error, ServerProcess

OWNER, READER = "222233334444", "555566667777"
ALL = f"arn:aws:ecr:us-east-1:{OWNER}:repository/*"
INVALID = "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'"


def policy(effect: str, action: Any, resource: str = ALL, principal: Any = "*", **more: Any) -> str:
    statement = {"Sid": "s", "Effect": effect, "Principal": principal, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def owner(server: ServerProcess) -> Any:
    ecr = server.client("ecr", OWNER)
    yield ecr
    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
    with contextlib.suppress(ecr.exceptions.RegistryPolicyNotFoundException):
        ecr.delete_registry_policy()


def error_of(act: Any, **members: Any) -> dict[str, str]:
    with pytest.raises(Error) as refused:
        act(**members)
    error: dict[str, str] = refused.value.response["Error"]
    return error


def test_put_get_and_delete_give_the_canonical_text(owner: Any) -> None:
    none = {
        "Code": "RegistryPolicyNotFoundException",
        "Message": f"Registry policy does not exist in the registry with id '{OWNER}'",
    }
    assert error_of(owner.get_registry_policy) == none
    assert error_of(owner.delete_registry_policy) == none
    bodies: list[bytes] = []
    owner.meta.events.register(
        "after-call.ecr.PutRegistryPolicy", lambda http_response, **_: bodies.append(http_response.content)
    )
    owner.put_registry_policy(
        policyText=policy("Allow", ["ecr:ReplicateImage", "ecr:CreateRepository"], principal={"AWS": READER})
    )
    canonical = (
        '{\n  "Version" : "2012-10-17",\n  "Statement" : [ {\n    "Sid" : "s",\n    "Effect" : "Allow",\n'
        f'    "Principal" : {{\n      "AWS" : "arn:aws:iam::{READER}:root"\n    }},\n'
        '    "Action" : [ "ecr:ReplicateImage", "ecr:CreateRepository" ],\n'
        f'    "Resource" : "{ALL}"\n  }} ]\n}}'
    )
    assert bodies == [json.dumps({"policyText": canonical, "registryId": OWNER}, separators=(",", ":")).encode()]
    assert owner.get_registry_policy()["policyText"] == canonical
    deleted = owner.delete_registry_policy()
    assert (deleted["registryId"], deleted["policyText"]) == (OWNER, canonical)
    assert error_of(owner.get_registry_policy) == none


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "{}",
        '{"Statement":[]}',
        '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}',
        policy("Allow", "s3:*"),
        policy("Allow", "ecr:*", principal={"AWS": f"arn:aws:iam::{OWNER}:*"}),
        policy("Allow", "ecr:*", resource="repository/*"),
        '{"Statement":' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_an_invalid_policy_is_refused_and_changes_nothing(owner: Any, text: str) -> None:
    refused = error_of(owner.put_registry_policy, policyText=text)
    assert refused == {"Code": "InvalidParameterException", "Message": INVALID}
    assert error_of(owner.get_registry_policy)["Code"] == "RegistryPolicyNotFoundException"


def test_a_text_of_more_than_its_length_and_an_unknown_principal(server: ServerProcess, owner: Any) -> None:
    assert error_of(owner.put_registry_policy, policyText="x" * 10241)["Message"].endswith(
        "' at 'policyText' failed to satisfy constraint: Member must have length less than or equal to 10240"
    )
    server.client("iam", OWNER).create_user(UserName="somebody")
    absent = policy("Allow", "ecr:*", principal={"AWS": f"arn:aws:iam::{OWNER}:user/absent"})
    assert error_of(owner.put_registry_policy, policyText=absent) == {
        "Code": "InvalidParameterException",
        "Message": "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Principal not found'",
    }


def test_v1_knows_what_passes_between_registries_alone(owner: Any) -> None:
    owner.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
    assert error_of(owner.put_registry_policy, policyText=policy("Deny", "ecr:PutImage"))["Message"] == INVALID
    owner.put_registry_policy(policyText=policy("Deny", "ecr:CreateRepository"))
    assert (
        "explicit deny in a resource-based policy" in error_of(owner.create_repository, repositoryName="v1")["Message"]
    )
    owner.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
    owner.put_registry_policy(policyText=policy("Deny", "ecr:Describe*", resource="*"))
    assert error_of(owner.describe_repositories)["Code"] == "AccessDeniedException"
    owner.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
    owner.describe_repositories()


def test_it_lets_another_account_in_and_stops_it_on_both_doors(server: ServerProcess, owner: Any) -> None:
    reader, oci = server.client("ecr", READER), OciClient(server, READER)
    owner.create_repository(repositoryName="wide")
    push_image(owner, "wide", "v1")
    path = f"/v2/{OWNER}/us-east-1/wide/manifests/v1"
    asked = {"registryId": OWNER, "repositoryName": "wide", "imageIds": [{"imageTag": "v1"}]}

    assert oci("GET", path).status == 403
    owner.put_registry_policy(policyText=policy("Allow", "ecr:BatchGetImage", principal={"AWS": READER}))
    assert oci("GET", path).status == 200
    assert reader.batch_get_image(**asked)["failures"] == []

    allow = {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}
    owner.set_repository_policy(repositoryName="wide", policyText=json.dumps({"Statement": allow}))
    owner.put_registry_policy(policyText=policy("Deny", "ecr:BatchGetImage", principal={"AWS": READER}))
    sentence = (
        f"User: arn:aws:iam::{READER}:root is not authorized to perform: ecr:BatchGetImage on resource: "
        f"arn:aws:ecr:us-east-1:{OWNER}:repository/wide with an explicit deny in a resource-based policy"
    )
    assert error_of(reader.batch_get_image, **asked) == {"Code": "AccessDeniedException", "Message": sentence}
    denied = oci("GET", path)
    assert denied.status == 403
    told = json.loads(denied.body)["errors"][0]
    assert told["code"] == "DENIED"
    assert told["message"].startswith(sentence)
    assert OciClient(server, OWNER)("GET", path).status == 200


def test_no_repository_is_made_by_a_push_that_it_forbids(server: ServerProcess, owner: Any) -> None:
    owner.put_registry_policy(policyText=policy("Deny", "ecr:CreateRepository", f"{ALL[:-1]}secret/*"))
    oci = OciClient(server, OWNER)
    refused = oci("POST", f"/v2/{OWNER}/us-east-1/secret/new/blobs/uploads/")
    assert refused.status == 403
    assert b"ecr:CreateRepository" in refused.body
    assert (
        error_of(owner.describe_repositories, repositoryNames=["secret/new"])["Code"] == "RepositoryNotFoundException"
    )
    assert oci("POST", f"/v2/{OWNER}/us-east-1/open/new/blobs/uploads/").status == 202


def test_why_shows_the_registry_policy(server: ServerProcess, owner: Any) -> None:
    owner.create_repository(repositoryName="explained")
    owner.put_registry_policy(policyText=policy("Deny", "ecr:ListImages"))
    with pytest.raises(Error) as denied:
        owner.list_images(repositoryName="explained")
    decision = denied.value.response["ResponseMetadata"]["RequestId"]
    environment = {"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": OWNER, "AWS_SECRET_ACCESS_KEY": "any"}
    owner.delete_registry_policy()  # what was decided on stays told
    told = json.loads(run_moorage("why", decision, "--json", env=environment).stdout)
    (resource,) = [each for each in told["sets"] if each["set"] == "resource"]
    assert [each["name"] for each in resource["policies"]] == ["RegistryPolicy"]
    assert told["decidedBy"] == "resource"
    assert told["suggestions"]
    said = run_moorage("why", decision, env=environment).stdout
    assert "RegistryPolicy" in said or "registry policy" in said
