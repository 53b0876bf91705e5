"""The policy simulator through the AWS door."""

import json
from typing import Any

import pytest

from moorage.access.organization import keep
from tests.support.query_client import OWNER, QueryClient

OTHER = "999999999999"
APP = f"arn:aws:ecr:us-east-1:{OWNER}:repository/app"
FOREIGN = f"arn:aws:ecr:us-east-1:{OTHER}:repository/app"
PULL_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
ANN = f"arn:aws:iam::{OWNER}:user/ann"


def document(effect: str, action: Any, resource: str = "*", version: str | None = "2012-10-17", **more: Any) -> str:
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({**({} if version is None else {"Version": version}), "Statement": [statement]})


def repository_policy(effect: str, principal: Any, action: str = "ecr:BatchGetImage") -> str:
    return json.dumps({"Statement": [{"Effect": effect, "Principal": principal, "Action": action}]})


async def simulate(root: QueryClient, **fields: Any) -> list[Any]:
    found: list[Any] = (await root.ok("SimulatePrincipalPolicy", **{"PolicySourceArn": ANN, **fields}))[
        "EvaluationResults"
    ]
    return found


async def verdicts(root: QueryClient, **fields: Any) -> list[str]:
    return [each["EvalDecision"] for each in await simulate(root, **fields)]


@pytest.fixture
async def ann(root: QueryClient) -> QueryClient:
    """A user with an inline policy, AWS's PullOnly through a group, and nothing else."""
    await root.ok("CreateUser", UserName="ann")
    await root.ok("CreateGroup", GroupName="devs")
    await root.ok("AddUserToGroup", GroupName="devs", UserName="ann")
    await root.ok("AttachGroupPolicy", GroupName="devs", PolicyArn=PULL_ONLY)
    await root.ok("PutUserPolicy", UserName="ann", PolicyName="push", PolicyDocument=document("Allow", "ecr:PutImage"))
    return root


async def test_a_principal_is_simulated_with_all_that_is_attached(ann: QueryClient) -> None:
    results = await simulate(ann, ActionNames=["ecr:PutImage", "ecr:BatchGetImage", "ecr:DeleteRepository"])
    assert [each["EvalDecision"] for each in results] == ["allowed", "allowed", "implicitDeny"]
    assert results[0]["EvalActionName"] == "ecr:PutImage"
    put, get, delete = results
    assert [(each["SourcePolicyId"], each["SourcePolicyType"]) for each in put["MatchedStatements"]] == [
        ("user_ann_push", "IAM Policy")
    ]
    assert get["MatchedStatements"][0]["SourcePolicyId"] == "AmazonEC2ContainerRegistryPullOnly"
    assert get["MatchedStatements"][0]["SourcePolicyType"] == "IAM Policy"
    assert delete["MatchedStatements"] == []
    assert "ResourceSpecificResults" not in put
    assert put["EvalResourceName"] == "*"
    # As a policy that is given would have it, beside what is attached.
    deny = document("Deny", "ecr:*")
    assert await verdicts(ann, ActionNames=["ecr:PutImage"], PolicyInputList=[deny]) == ["explicitDeny"]


async def test_each_resource_has_its_result(ann: QueryClient) -> None:
    only = document("Deny", "ecr:PutImage", f"{APP}/locked")
    (result,) = await simulate(
        ann, ActionNames=["ecr:PutImage"], ResourceArns=[APP, f"{APP}/locked"], PolicyInputList=[only]
    )
    assert result["EvalDecision"] == "explicitDeny"
    assert result["EvalResourceName"] == "arn:${Partition}:ecr:${Region}:${Account}:repository/${RepositoryName}"
    specific = {each["EvalResourceName"]: each for each in result["ResourceSpecificResults"]}
    assert specific[APP]["EvalResourceDecision"] == "allowed"
    locked = specific[f"{APP}/locked"]
    assert locked["EvalResourceDecision"] == "explicitDeny"
    assert [each["SourcePolicyId"] for each in locked["MatchedStatements"]] == ["PolicyInputList.1"]
    assert result["MatchedStatements"] == locked["MatchedStatements"]


async def test_statements_are_found_in_their_text(root: QueryClient) -> None:
    text = '{"Statement": [\n  {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*"},\n  {\n'
    text += '"Effect": "Deny", "Action": "ecr:*", "Resource": "*"\n}]}'
    found = await root.ok("SimulateCustomPolicy", PolicyInputList=[text], ActionNames=["ecr:PutImage"])
    (statement,) = found["EvaluationResults"][0]["MatchedStatements"]
    assert statement["StartPosition"] == {"Line": 3, "Column": 3}
    assert statement["EndPosition"] == {"Line": 5, "Column": 2}
    assert (statement["SourcePolicyId"], statement["SourcePolicyType"]) == ("PolicyInputList.1", "IAM Policy")


async def test_boundaries_limit_and_say_so(ann: QueryClient) -> None:
    boundary = document("Allow", "ecr:Batch*")
    put, get = await simulate(
        ann, ActionNames=["ecr:PutImage", "ecr:BatchGetImage"], PermissionsBoundaryPolicyInputList=[boundary]
    )
    assert (put["EvalDecision"], get["EvalDecision"]) == ("implicitDeny", "allowed")
    assert put["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    assert get["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": True}
    await ann.ok("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=PULL_ONLY)
    assert await verdicts(ann, ActionNames=["ecr:PutImage", "ecr:BatchGetImage"]) == ["implicitDeny", "allowed"]
    # The one that is given takes the place of the one attached.
    everything = document("Allow", "*")
    assert await verdicts(ann, ActionNames=["ecr:PutImage"], PermissionsBoundaryPolicyInputList=[everything]) == [
        "allowed"
    ]
    two: dict[str, Any] = {"PermissionsBoundaryPolicyInputList": [everything, everything]}
    refused = await ann.refused("SimulatePrincipalPolicy", PolicySourceArn=ANN, ActionNames=["ecr:PutImage"], **two)
    assert refused[:2] == (400, "InvalidInput")


async def test_a_resource_policy_counts_as_it_would(ann: QueryClient) -> None:
    async def one(**fields: Any) -> Any:
        (result,) = await simulate(ann, ActionNames=["ecr:DescribeImages"], **{"ResourceArns": [APP], **fields})
        return result["ResourceSpecificResults"][0]

    def policy(effect: str, principal: Any) -> str:
        return repository_policy(effect, principal, "ecr:DescribeImages")

    assert (await one())["EvalResourceDecision"] == "implicitDeny"
    granted = await one(ResourcePolicy=policy("Allow", {"AWS": ANN}))
    assert granted["EvalResourceDecision"] == "allowed"
    assert [each["SourcePolicyType"] for each in granted["MatchedStatements"]] == ["Resource Policy"]
    assert (await one(ResourcePolicy=policy("Allow", {"AWS": OWNER})))["EvalResourceDecision"] == "implicitDeny"
    assert (await one(ResourcePolicy=policy("Deny", "*")))["EvalResourceDecision"] == "explicitDeny"
    # Across accounts both sides must allow.
    across = await one(ResourceArns=[FOREIGN], ResourcePolicy=policy("Allow", {"AWS": ANN}))
    assert across["EvalResourceDecision"] == "implicitDeny"
    assert across["EvalDecisionDetails"] == {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"}
    allowed = await one(
        ResourceArns=[FOREIGN],
        ResourcePolicy=policy("Allow", {"AWS": ANN}),
        PolicyInputList=[document("Allow", "ecr:DescribeImages")],
    )
    assert allowed["EvalResourceDecision"] == "allowed"


async def test_the_owner_may_be_named_and_the_caller_be_another(ann: QueryClient) -> None:
    await ann.ok("CreateUser", UserName="bob")
    bob = f"arn:aws:iam::{OWNER}:user/bob"
    policy = repository_policy("Allow", {"AWS": bob}, "ecr:DescribeImages")
    ask: dict[str, Any] = {"ActionNames": ["ecr:DescribeImages"], "ResourceArns": [APP], "ResourcePolicy": policy}
    assert await verdicts(ann, **ask) == ["implicitDeny"]
    assert await verdicts(ann, **ask, CallerArn=bob) == ["allowed"]
    loose = {**ask, "ResourceArns": ["arn:aws:s3:::bucket"]}
    assert await verdicts(ann, **loose, CallerArn=bob) == ["allowed"]
    assert await verdicts(ann, **loose, CallerArn=bob, ResourceOwner=OTHER) == ["implicitDeny"]
    custom = {"PolicyInputList": [document("Allow", "sts:*")], **ask}
    assert (await ann.refused("SimulateCustomPolicy", **custom))[:2] == (400, "InvalidInput")
    answer = await ann.ok("SimulateCustomPolicy", **custom, CallerArn=bob)
    assert answer["EvaluationResults"][0]["EvalDecision"] == "allowed"
    for bad in ("arn:aws:sts::012345678910:assumed-role/r/s", "nobody", f"{bob}x"):
        status, code, _ = await ann.refused("SimulateCustomPolicy", **custom, CallerArn=bad)
        assert (status, code) in {(400, "InvalidInput"), (404, "NoSuchEntity")}


async def test_context_is_given_and_what_lacks_is_told(ann: QueryClient) -> None:
    policy = document(
        "Allow",
        "ecr:DeleteRepository",
        Condition={
            "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
            "ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]},
            "StringEquals": {"aws:username": "ann", "aws:PrincipalTag/Team": "${aws:PrincipalTag/team}"},
        },
    )
    await ann.ok("TagUser", UserName="ann", Tags=[{"Key": "team", "Value": "x"}])
    ask: dict[str, Any] = {"ActionNames": ["ecr:DeleteRepository"], "PolicyInputList": [policy]}
    (result,) = await simulate(ann, **ask)
    assert (result["EvalDecision"], result["MissingContextValues"]) == (
        "implicitDeny",
        ["aws:SourceIp", "aws:TagKeys"],
    )
    entries = [
        {"ContextKeyName": "aws:sourceip", "ContextKeyValues": ["10.1.2.3"], "ContextKeyType": "ip"},
        {"ContextKeyName": "aws:TagKeys", "ContextKeyValues": ["b", "a"], "ContextKeyType": "stringList"},
    ]
    (result,) = await simulate(ann, **ask, ContextEntries=entries)
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("allowed", [])
    keys = await ann.ok("GetContextKeysForCustomPolicy", PolicyInputList=[policy])
    assert keys["ContextKeyNames"] == ["aws:SourceIp", "aws:TagKeys", "aws:username", "aws:PrincipalTag/Team"]
    await ann.ok("PutUserPolicy", UserName="ann", PolicyName="more", PolicyDocument=policy)
    keys = await ann.ok("GetContextKeysForPrincipalPolicy", PolicySourceArn=ANN)
    assert "aws:SourceIp" in keys["ContextKeyNames"]


async def test_policies_may_be_left_out(ann: QueryClient) -> None:
    actions = ["ecr:PutImage", "ecr:BatchGetImage"]

    async def left_out(**identifier: Any) -> list[str]:
        return await verdicts(ann, ActionNames=actions, PolicyExclusionList=[identifier])

    assert await left_out(PolicyType="inline") == ["implicitDeny", "allowed"]
    assert await left_out(PolicyType="aws-managed") == ["allowed", "implicitDeny"]
    assert await left_out(PolicyArn="arn:aws:iam::aws:policy/AmazonEC2*") == ["allowed", "implicitDeny"]
    inline = {"PolicyName": "push", "AttachmentType": "user", "AttachmentName": "a*"}
    assert await left_out(InlinePolicyIdentifier=inline) == ["implicitDeny", "allowed"]
    both = [{"PolicyType": "inline", "PolicyArn": PULL_ONLY}]
    refused = await ann.refused(
        "SimulatePrincipalPolicy", PolicySourceArn=ANN, ActionNames=actions, PolicyExclusionList=both
    )
    assert refused[:2] == (400, "InvalidInput")


async def test_groups_and_roles_are_simulated_too(ann: QueryClient) -> None:
    group = f"arn:aws:iam::{OWNER}:group/devs"
    assert await verdicts(ann, PolicySourceArn=group, ActionNames=["ecr:BatchGetImage", "ecr:PutImage"]) == [
        "allowed",
        "implicitDeny",
    ]
    trust = repository_policy("Allow", {"AWS": OWNER}, "sts:AssumeRole")
    role = (await ann.ok("CreateRole", RoleName="r", Path="/x/", AssumeRolePolicyDocument=trust))["Role"]["Arn"]
    await ann.ok("AttachRolePolicy", RoleName="r", PolicyArn=PULL_ONLY)
    assert await verdicts(ann, PolicySourceArn=role, ActionNames=["ecr:BatchGetImage"]) == ["allowed"]
    policy = repository_policy("Allow", {"AWS": role}, "ecr:DescribeImages")
    assert await verdicts(
        ann, PolicySourceArn=role, ActionNames=["ecr:DescribeImages"], ResourceArns=[APP], ResourcePolicy=policy
    ) == ["allowed"]
    for missing in (f"arn:aws:iam::{OWNER}:role/r", ANN.replace(OWNER, OTHER), f"{ANN}x"):
        refused = await ann.refused("SimulatePrincipalPolicy", PolicySourceArn=missing, ActionNames=["ecr:PutImage"])
        assert refused[:2] == (404, "NoSuchEntity")


async def test_results_come_in_pages_of_actions(ann: QueryClient) -> None:
    actions = ["ecr:PutImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
    first = await ann.ok("SimulatePrincipalPolicy", PolicySourceArn=ANN, ActionNames=actions, MaxItems=2)
    assert [each["EvalActionName"] for each in first["EvaluationResults"]] == actions[:2]
    rest = await ann.ok("SimulatePrincipalPolicy", PolicySourceArn=ANN, ActionNames=actions, Marker=first["Marker"])
    assert [each["EvalActionName"] for each in rest["EvaluationResults"]] == actions[2:]
    assert rest["IsTruncated"] is False
    # A page has fewer where it would be too much at once.
    many: dict[str, Any] = {"PolicyInputList": [document("Deny", ["ecr:X"] * 3)] * 50, "ResourceArns": [APP] * 400}
    small = await ann.ok("SimulatePrincipalPolicy", PolicySourceArn=ANN, ActionNames=actions, **many)
    assert (len(small["EvaluationResults"]), small["IsTruncated"]) == (2, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"PolicyInputList": ["{"]},
        {"PolicyInputList": ["[" * 50_000]},
        {"PolicyInputList": [document("Allow", "*:PutImage")]},
        {"PolicyInputList": [document("Allow", "ecr:*", "arn:amazon:s3:::b")]},
        {"PermissionsBoundaryPolicyInputList": [document("Allow", "ecr:a:b")]},
        {"ActionNames": ["ecr:*"]},
        {"ActionNames": ["PutImage"]},
        {"ResourcePolicy": '{"Statement":[]}'},
        {"ResourceOwner": "somebody"},
        {"ContextEntries": [{"ContextKeyName": "aws:a", "ContextKeyValues": ["1", "2"], "ContextKeyType": "string"}]},
        {"ResourceArns": [APP] * 600, "PolicyInputList": "many"},
    ],
)
async def test_bad_input_is_refused(ann: QueryClient, fields: dict[str, Any]) -> None:
    if fields.get("PolicyInputList") == "many":
        statement = {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*"}
        fields = {**fields, "PolicyInputList": [json.dumps({"Statement": [statement] * 100})]}
    ask: dict[str, Any] = {"PolicySourceArn": ANN, "ActionNames": ["ecr:PutImage"], **fields}
    assert (await ann.refused("SimulatePrincipalPolicy", **ask))[:2] == (400, "InvalidInput")


async def test_a_simulation_needs_its_own_permission(ann: QueryClient) -> None:
    bob = await ann.user("bob", document("Allow", "iam:SimulatePrincipalPolicy", ANN))
    await bob.ok("SimulatePrincipalPolicy", PolicySourceArn=ANN, ActionNames=["ecr:PutImage"])
    other = f"arn:aws:iam::{OWNER}:user/bob"
    refused = await bob.refused("SimulatePrincipalPolicy", PolicySourceArn=other, ActionNames=["ecr:PutImage"])
    assert refused[:2] == (403, "AccessDenied")


async def test_wildcards_made_to_be_slow_are_not(ann: QueryClient) -> None:
    policy = document("Allow", "ecr:" + "*a" * 60 + "b", Condition={"StringLike": {"aws:username": "*a" * 200 + "b"}})
    await verdicts(ann, ActionNames=["ecr:" + "a" * 120], PolicyInputList=[policy])


def organization(member: str, scps: dict[str, Any]) -> str:
    """Its management account is another, so that the member is bound."""
    return json.dumps(
        {
            "id": "o-0123456789",
            "managementAccount": OTHER,
            "serviceControlPolicies": {name: json.loads(text) for name, text in scps.items()},
            "root": {
                "id": "r-ab12",
                "accounts": [
                    {"id": OTHER},
                    {"id": member, "serviceControlPolicies": ["FullAWSAccess", *scps]},
                ],
            },
        }
    )


async def test_service_control_policies_in_force_count_and_may_be_left_out(ann: QueryClient) -> None:
    assert "OrganizationsDecisionDetail" not in (await simulate(ann, ActionNames=["ecr:PutImage"]))[0]
    here = {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}
    guard = document("Deny", "ecr:PutImage", Condition=here)
    await keep(ann.identity.organizations, organization(OWNER, {"OnlyHere": guard}), by="me")
    region = [{"ContextKeyName": "aws:RequestedRegion", "ContextKeyValues": ["us-east-1"], "ContextKeyType": "string"}]
    actions = ["ecr:PutImage", "ecr:BatchGetImage"]
    put, get = await simulate(ann, ActionNames=actions, ContextEntries=region)
    assert (put["EvalDecision"], get["EvalDecision"]) == ("explicitDeny", "allowed")
    assert put["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": False}
    assert get["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": True}
    (told,) = await simulate(ann, ActionNames=["ecr:PutImage"])
    assert told["MissingContextValues"] == ["aws:RequestedRegion"]
    (without,) = await simulate(
        ann, ActionNames=["ecr:PutImage"], ContextEntries=region, PolicyExclusionList=[{"PolicyType": "scp"}]
    )
    assert without["EvalDecision"] == "allowed"
    assert "OrganizationsDecisionDetail" not in without


async def test_service_control_policies_may_be_given_by_level(root: QueryClient) -> None:
    allow, pull = document("Allow", "ecr:*"), document("Allow", "ecr:BatchGetImage")
    answer = await root.ok(
        "SimulateCustomPolicy",
        PolicyInputList=[allow],
        OrderedOrganizationPolicyInputList=[
            {"ServiceControlPolicyInputList": [allow]},
            {"ServiceControlPolicyInputList": [pull]},
        ],
        ActionNames=["ecr:PutImage", "ecr:BatchGetImage"],
    )
    found = [
        (each["EvalDecision"], each["OrganizationsDecisionDetail"]["AllowedByOrganizations"])
        for each in answer["EvaluationResults"]
    ]
    assert found == [("implicitDeny", False), ("allowed", True)]


async def test_the_resource_that_is_asked_for_is_named(ann: QueryClient) -> None:
    for resource in (APP, f"{APP}/*", "*"):
        (result,) = await simulate(ann, ActionNames=["ecr:PutImage"], ResourceArns=[resource])
        assert result["EvalResourceName"] == resource
    answer = await ann.ok(
        "SimulateCustomPolicy",
        PolicyInputList=[document("Allow", "ec2:*", version=None)],
        ActionNames=["ec2:AttachVpnGateway"],
        ResourceArns=["arn:aws:ec2:us-east-1:1:vpc/vpc-1"],
    )
    (result,) = answer["EvaluationResults"]
    assert (result["EvalDecision"], result["EvalResourceName"]) == ("allowed", "arn:aws:ec2:us-east-1:1:vpc/vpc-1")


@pytest.mark.parametrize(
    ("action", "resource", "statement"),
    [
        ("s3:GetObject", "arn:aws:s3:::b/key", {"Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]}),
        ("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{OWNER}:q", {"Sid": "any text, twice", "Action": "sqs:Send*"}),
        ("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{OWNER}:q", {"Action": "*"}),
        (
            "kms:Decrypt",
            f"arn:aws:kms:us-east-1:{OWNER}:key/1",
            {"NotAction": "kms:Create*", "NotResource": "arn:aws:s3"},
        ),
        ("sns:Publish", f"arn:aws:sns:us-east-1:{OWNER}:t", {"Action": "sns:Publish"}),
    ],
)
async def test_resource_policies_of_any_service_are_taken(
    ann: QueryClient, action: str, resource: str, statement: dict[str, Any]
) -> None:
    def policy(principal: Any) -> str:
        one = {"Effect": "Allow", "Principal": principal, **statement}
        return json.dumps({"Version": "2012-10-17", "Statement": [one, one]})

    async def verdict(principal: Any) -> str:
        answer = await ann.ok(
            "SimulateCustomPolicy",
            PolicyInputList=[document("Allow", "sts:*")],
            ActionNames=[action],
            ResourceArns=[resource],
            ResourceOwner=f"arn:aws:iam::{OWNER}:root",
            CallerArn=ANN,
            ResourcePolicy=policy(principal),
        )
        return str(answer["EvaluationResults"][0]["EvalDecision"])

    assert await verdict({"AWS": ANN}) == "allowed"
    assert await verdict({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}) == (
        "implicitDeny"
    )
    assert await verdict({"Federated": "cognito-identity.amazonaws.com"}) == "implicitDeny"


async def test_a_repository_policy_is_read_as_ecr_reads_it(ann: QueryClient) -> None:
    ask: dict[str, Any] = {"ResourceArns": [APP], "ResourcePolicy": repository_policy("Allow", {"AWS": ANN}, "*")}
    assert await verdicts(ann, ActionNames=["ecr:DescribeImages"], **ask) == ["allowed"]
    # The star of a repository policy stands for ECR's actions only.
    assert await verdicts(ann, ActionNames=["moorage:Purge"], **ask) == ["implicitDeny"]
