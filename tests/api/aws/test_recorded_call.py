"""What the audit record keeps of a call's parameters and answer."""

import hashlib
import json
from typing import Any

import botocore.session
import pytest

from moorage.api.aws import query, recorded_call
from moorage.api.aws.operation import Service
from moorage.api.ecr.shapes import CreateRepositoryRequest, Tag
from moorage.api.iam import IAM
from moorage.api.sts import STS
from moorage.api.sts.shapes import AssumeRoleWithWebIdentityRequest
from moorage.api.tagging.shapes import TagResourcesInput, UntagResourcesInput
from moorage.audit.text import MAX_BYTES

SENSITIVE_BESIDES = {"EncodedMessage", "ProvidedContexts", "TokenCode"}
"""Parameters that botocore's models do not mark as sensitive."""


def kept(request: Any) -> Any:
    return json.loads(recorded_call.request_parameters(request))


def test_every_sensitive_parameter_is_hidden() -> None:
    services: tuple[Service[Any], ...] = (IAM, STS)
    sensitive: dict[str, Any] = {}
    for service in services:
        model = botocore.session.get_session().get_service_model(service.name)
        for name in service.operations:
            shape = model.operation_model(name).input_shape
            for member, kind in {} if shape is None else shape.members.items():
                if kind.metadata.get("sensitive") or member in SENSITIVE_BESIDES:
                    sensitive[member] = "s"
    assert sensitive.keys() >= SENSITIVE_BESIDES
    assert set(kept(sensitive).values()) == {recorded_call.HIDDEN}


def test_of_a_form_only_declared_parameters_are_kept_and_secret_ones_hidden() -> None:
    given = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::012345678910:role/r",
        "RoleSessionName": "ann",
        "PolicyArns.member.1.arn": "arn:aws:iam::012345678910:policy/p",
        "X-Amz-Signature": "s",
        "X-Amz-Security-Token": "s",
        "X-Amz-Credential": "AKIA/20260101/us-east-1/iam/aws4_request",
        "Password": "s",
        "roleArn": "s",
        "WebIdentityToken": "secret",
    }
    assert kept(query.decode(AssumeRoleWithWebIdentityRequest, given)) == {
        "roleArn": "arn:aws:iam::012345678910:role/r",
        "roleSessionName": "ann",
        "policyArns": [{"arn": "arn:aws:iam::012345678910:policy/p"}],
        "webIdentityToken": recorded_call.HIDDEN,
    }


@pytest.mark.parametrize("name", ["password", "SecretAccessKey", "sessionToken", "authorizationToken", "downloadUrl"])
def test_secrets_are_hidden_at_any_depth(name: str) -> None:
    assert kept({"a": [{name: "s"}], "b": {name: {"c": "s"}}}) == {
        "a": [{name[:1].lower() + name[1:]: recorded_call.HIDDEN}],
        "b": {name[:1].lower() + name[1:]: recorded_call.HIDDEN},
    }


def test_a_long_text_is_its_beginning_its_digest_and_its_length() -> None:
    text = "é" * 5000
    told = kept({"policyText": text, "repositoryName": "app"})
    assert told["repositoryName"] == "app"
    assert told["policyText"]["begins"].startswith("é" * 500)
    assert len(told["policyText"]["begins"].encode()) <= MAX_BYTES
    assert told["policyText"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert told["policyText"]["bytes"] == 10_000


def test_what_is_long_in_all_keeps_its_short_members() -> None:
    told = kept({"repositoryName": "app", "imageIds": [{"imageTag": f"v{number}"} for number in range(5000)]})
    assert told["repositoryName"] == "app"
    assert set(told["imageIds"]) == {"sha256", "bytes"}
    assert len(recorded_call.request_parameters({f"n{number}": "x" * 500 for number in range(1000)})) < 200


def test_texts_that_are_no_text_are_kept_as_far_as_they_can_be() -> None:
    assert kept({"a\ud800": "b\ud800\0"}) == {"a?": "b?\N{REPLACEMENT CHARACTER}"}


def test_keys_of_a_map_keep_their_case() -> None:
    tags = {"Team": "a", "team": "b", "TEAM": "c"}
    assert kept(TagResourcesInput(resource_arn_list=["arn"], tags=tags)) == {"resourceARNList": ["arn"], "tags": tags}
    assert kept(UntagResourcesInput(resource_arn_list=["arn"], tag_keys=["Team"]))["tagKeys"] == ["Team"]
    request = CreateRepositoryRequest(repository_name="app", tags=[Tag(key="Team", value="A")])
    assert kept(request) == {"repositoryName": "app", "tags": [{"key": "Team", "value": "A"}]}


def test_keys_of_a_map_are_cut_and_hidden_as_members_are() -> None:
    told = kept(TagResourcesInput(resource_arn_list=[], tags={"Password": "s", "K" * 2000: "x" * 2000}))["tags"]
    assert told["Password"] == recorded_call.HIDDEN
    (long,) = told.keys() - {"Password"}
    assert long.startswith("KKK")
    assert len(long.encode()) <= MAX_BYTES
    assert set(told[long]) == {"begins", "sha256", "bytes"}


def test_members_of_moorages_own_calls_are_kept_as_they_are_written() -> None:
    members = {"repository": "app", "given": {"Aws:SourceIp": "10.0.0.1"}}
    assert json.loads(recorded_call.own_parameters(members)) == members
