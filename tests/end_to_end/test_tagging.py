"""The Resource Groups Tagging API through boto3 and the AWS CLI, with keys whose policies are enforced."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.end_to_end.test_aws_cli import aws, environment
from tests.support.server_process import ServerProcess

OWNER = "222233334444"
ARN = f"arn:aws:ecr:us-east-1:{OWNER}:repository/"


@pytest.fixture(scope="module", autouse=True)
def repositories(server: ServerProcess) -> None:
    ecr = server.client("ecr", OWNER)
    for name, tags in (
        ("tagged/blue-1", {"team": "blue"}),
        ("tagged/blue-2", {"team": "blue", "env": "prod"}),
        ("tagged/red", {"team": "red"}),
        ("tagged/none", {}),
    ):
        ecr.create_repository(repositoryName=name, tags=[{"Key": key, "Value": value} for key, value in tags.items()])


def user(server: ServerProcess, name: str, *statements: dict[str, Any]) -> Any:
    """A client of the API with a key of a new user who has these statements."""
    iam = server.client("iam", OWNER)
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]})
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return server.client("resourcegroupstaggingapi", key["AccessKeyId"], key["SecretAccessKey"])


def test_boto3_reads_all_pages(server: ServerProcess) -> None:
    tagging = user(server, "reader", {"Action": "tag:Get*", "Resource": "*"})
    pages = tagging.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": "team", "Values": ["blue", "red"]}],
        ResourceTypeFilters=["ecr:repository"],
        PaginationConfig={"PageSize": 1},
    )
    found = [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
    assert found == [f"{ARN}tagged/{name}" for name in ("blue-1", "blue-2", "red")]
    assert tagging.get_tag_keys()["TagKeys"] == ["env", "team"]
    assert tagging.get_tag_values(Key="team")["TagValues"] == ["blue", "red"]
    with pytest.raises(ClientError) as refused:
        tagging.tag_resources(ResourceARNList=found[:1], Tags={"team": "red"})
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "user/reader is not authorized to perform: tag:TagResources on resource: *" in str(refused.value)


def test_a_condition_on_tags_is_decided_on_each_repository(server: ServerProcess) -> None:
    tagging = user(
        server,
        "blue",
        {"Action": ["tag:TagResources", "tag:GetResources"], "Resource": "*"},
        {
            "Action": "ecr:TagResource",
            "Resource": "*",
            "Condition": {
                "StringEquals": {"aws:ResourceTag/team": "blue"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]},
            },
        },
    )
    arns = [f"{ARN}tagged/{name}" for name in ("blue-1", "red", "none")]
    failed = tagging.tag_resources(ResourceARNList=arns, Tags={"cost": "42"})["FailedResourcesMap"]
    assert sorted(failed) == [f"{ARN}tagged/none", f"{ARN}tagged/red"]
    assert {each["ErrorCode"] for each in failed.values()} == {"AccessDeniedException"}
    found = tagging.get_resources(TagFilters=[{"Key": "cost"}])["ResourceTagMappingList"]
    assert [each["ResourceARN"] for each in found] == arns[:1]
    failed = tagging.tag_resources(ResourceARNList=arns[:1], Tags={"team": "red"})["FailedResourcesMap"]
    assert failed[arns[0]]["ErrorCode"] == "AccessDeniedException"


def test_the_aws_cli(server: ServerProcess, tmp_path: Path) -> None:
    env = environment(server, tmp_path) | {"AWS_ACCESS_KEY_ID": OWNER}
    arn = f"{ARN}tagged/none"
    api = "resourcegroupstaggingapi"
    assert json.loads(aws(env, api, "tag-resources", "--resource-arn-list", arn, "--tags", "cli=yes,other=1")) == {
        "FailedResourcesMap": {}
    }
    found = json.loads(aws(env, api, "get-resources", "--tag-filters", "Key=cli,Values=yes"))
    tags = [{"Key": "cli", "Value": "yes"}, {"Key": "other", "Value": "1"}]
    assert found["ResourceTagMappingList"] == [{"ResourceARN": arn, "Tags": tags}]
    aws(env, api, "untag-resources", "--resource-arn-list", arn, "--tag-keys", "cli", "other")
    assert "cli" not in json.loads(aws(env, api, "get-tag-keys"))["TagKeys"]


def test_the_record_names_the_service(server: ServerProcess) -> None:
    tagging = user(server, "recorded", {"Action": "tag:*", "Resource": "*"})
    answer = tagging.get_resources()
    assert answer["ResponseMetadata"]["RequestId"]
    arn = f"{ARN}tagged/red"
    failed = tagging.untag_resources(ResourceARNList=[arn], TagKeys=["team"])["FailedResourcesMap"]
    assert failed[arn]["ErrorMessage"].startswith(
        f"User: arn:aws:iam::{OWNER}:user/recorded is not authorized to perform: ecr:UntagResource on resource: {arn}"
    )
