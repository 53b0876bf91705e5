"""The calls that Terraform's AWS provider makes of IAM, made by boto3 in the provider's order.

No Terraform runs here; `tests/clients/test_terraform.py` runs it where the machine has it. These tests follow the
provider's documentation: create, read back at once, update in place, delete, and ask until it is gone. They compare
what the provider compares, since any difference makes the next plan say "changed".
"""

import json
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.server_process import Error, ServerProcess

ACCOUNT = "333300003333"
ARN = f"arn:aws:iam::{ACCOUNT}"


@pytest.fixture
def iam(server: ServerProcess) -> Any:
    return server.client("iam", ACCOUNT)


def allowing(*actions: str, resource: Any = "*") -> str:
    """As `jsonencode` writes it: keys sorted, no spaces."""
    statement = {"Action": list(actions), "Effect": "Allow", "Resource": resource}
    return json.dumps({"Statement": [statement], "Version": "2012-10-17"}, separators=(",", ":"))


def trusting(principal: Any) -> str:
    statement = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": principal}
    return json.dumps({"Statement": [statement], "Version": "2012-10-17"}, separators=(",", ":"))


def same(shown: Any, wanted: str) -> bool:
    """Equal as the provider's policy comparison sees it. boto3 decodes documents, the provider too."""
    document = shown if isinstance(shown, dict) else json.loads(unquote(shown))
    return bool(document == json.loads(wanted))


def refused(call: Any, **fields: Any) -> str:
    with pytest.raises(Error) as error:
        call(**fields)
    code: str = error.value.response["Error"]["Code"]
    return code


def by_key(tags: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def test_aws_iam_policy(iam: Any) -> None:
    made = iam.create_policy(
        PolicyName="tf-policy",
        Path="/",
        Description="made by terraform",
        PolicyDocument=allowing("ecr:GetAuthorizationToken"),
        Tags=[{"Key": "env", "Value": "test"}],
    )["Policy"]
    arn = made["Arn"]

    def read() -> tuple[Any, str]:
        policy = iam.get_policy(PolicyArn=arn)["Policy"]
        version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        return policy, version["Document"]

    policy, document = read()
    assert {name: policy[name] for name in ("PolicyName", "Path", "Description", "PolicyId", "Arn")} == {
        "PolicyName": "tf-policy",
        "Path": "/",
        "Description": "made by terraform",
        "PolicyId": made["PolicyId"],
        "Arn": f"{ARN}:policy/tf-policy",
    }
    assert by_key(policy["Tags"]) == {"env": "test"}
    assert policy["AttachmentCount"] == 0
    assert same(document, allowing("ecr:GetAuthorizationToken"))

    # Updates: the provider makes room first when there are five versions, oldest of those not default.
    for number in range(6):
        versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
        if len(versions) >= 5:
            others = [each for each in versions if not each["IsDefaultVersion"]]
            oldest = min(others, key=lambda each: each["CreateDate"])
            iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=allowing(f"ecr:Update{number}"), SetAsDefault=True)
        assert same(read()[1], allowing(f"ecr:Update{number}"))
    iam.untag_policy(PolicyArn=arn, TagKeys=["env"])
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "team", "Value": "a"}])
    assert by_key(read()[0]["Tags"]) == {"team": "a"}

    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=arn)
    assert refused(iam.get_policy, PolicyArn=arn) == "NoSuchEntity"


def test_aws_iam_role_with_its_policies(iam: Any) -> None:
    trust = trusting({"Service": ["ec2.amazonaws.com"]})
    boundary = iam.create_policy(PolicyName="tf-boundary", PolicyDocument=allowing("ecr:*"))["Policy"]["Arn"]
    iam.create_role(
        RoleName="tf-role",
        Path="/",
        AssumeRolePolicyDocument=trust,
        Description="made by terraform",
        MaxSessionDuration=7200,
        PermissionsBoundary=boundary,
        Tags=[{"Key": "Name", "Value": "tf"}],
    )

    def read() -> Any:
        role = iam.get_role(RoleName="tf-role")["Role"]
        inline = {
            name: iam.get_role_policy(RoleName="tf-role", PolicyName=name)["PolicyDocument"]
            for page in iam.get_paginator("list_role_policies").paginate(RoleName="tf-role")
            for name in page["PolicyNames"]
        }
        attached = [
            each["PolicyArn"]
            for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName="tf-role")
            for each in page["AttachedPolicies"]
        ]
        return role, inline, attached

    role, inline, attached = read()
    assert role["Arn"] == f"{ARN}:role/tf-role"
    assert (role["MaxSessionDuration"], role["Description"], role["Path"]) == (7200, "made by terraform", "/")
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert by_key(role["Tags"]) == {"Name": "tf"}
    assert same(role["AssumeRolePolicyDocument"], trust)
    assert (inline, attached) == ({}, [])

    # aws_iam_role_policy, aws_iam_role_policy_attachment
    iam.put_role_policy(RoleName="tf-role", PolicyName="inline", PolicyDocument=allowing("ecr:PutImage"))
    pull_only = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
    iam.attach_role_policy(RoleName="tf-role", PolicyArn=pull_only)
    role, inline, attached = read()
    assert same(inline["inline"], allowing("ecr:PutImage"))
    assert attached == [pull_only]

    # Updates in place, each read back.
    trust = trusting({"AWS": [f"{ARN}:root"]})
    iam.update_assume_role_policy(RoleName="tf-role", PolicyDocument=trust)
    iam.update_role_description(RoleName="tf-role", Description="changed")
    iam.update_role(RoleName="tf-role", MaxSessionDuration=3600)
    iam.delete_role_permissions_boundary(RoleName="tf-role")
    iam.untag_role(RoleName="tf-role", TagKeys=["Name"])
    iam.tag_role(RoleName="tf-role", Tags=[{"Key": "team", "Value": "b"}])
    role, _, _ = read()
    assert same(role["AssumeRolePolicyDocument"], trust)
    assert (role["MaxSessionDuration"], role["Description"]) == (3600, "changed")
    assert "PermissionsBoundary" not in role
    assert by_key(role["Tags"]) == {"team": "b"}

    # Destroy: policies first, then the role, after asking for instance profiles.
    assert refused(iam.delete_role, RoleName="tf-role") == "DeleteConflict"
    iam.detach_role_policy(RoleName="tf-role", PolicyArn=pull_only)
    iam.delete_role_policy(RoleName="tf-role", PolicyName="inline")
    assert iam.list_instance_profiles_for_role(RoleName="tf-role")["InstanceProfiles"] == []
    iam.delete_role(RoleName="tf-role")
    assert refused(iam.get_role, RoleName="tf-role") == "NoSuchEntity"
    assert refused(iam.list_attached_role_policies, RoleName="tf-role") == "NoSuchEntity"
    iam.delete_policy(PolicyArn=boundary)


def test_a_role_trusts_a_user_that_was_just_made(iam: Any) -> None:
    iam.create_user(UserName="tf-trusted")
    trust = trusting({"AWS": f"{ARN}:user/tf-trusted"})
    iam.create_role(RoleName="tf-trusting", AssumeRolePolicyDocument=trust)
    assert same(iam.get_role(RoleName="tf-trusting")["Role"]["AssumeRolePolicyDocument"], trust)
    other = trusting({"AWS": f"{ARN}:user/tf-nobody"})
    assert (
        refused(iam.update_assume_role_policy, RoleName="tf-trusting", PolicyDocument=other)
        == "MalformedPolicyDocument"
    )
    iam.delete_role(RoleName="tf-trusting")
    iam.delete_user(UserName="tf-trusted")


def test_aws_iam_user_with_keys_groups_and_policies(iam: Any) -> None:
    made = iam.create_user(UserName="tf-user", Path="/system/", Tags=[{"Key": "env", "Value": "x"}])["User"]
    user = iam.get_user(UserName="tf-user")["User"]
    assert user["Arn"] == f"{ARN}:user/system/tf-user"
    assert by_key(user["Tags"]) == {"env": "x"}

    # aws_iam_access_key
    key = iam.create_access_key(UserName="tf-user")["AccessKey"]
    (listed,) = iam.list_access_keys(UserName="tf-user")["AccessKeyMetadata"]
    assert (listed["AccessKeyId"], listed["Status"]) == (key["AccessKeyId"], "Active")
    iam.update_access_key(UserName="tf-user", AccessKeyId=key["AccessKeyId"], Status="Inactive")

    # aws_iam_group, aws_iam_group_membership, aws_iam_user_group_membership
    iam.create_group(GroupName="tf-group", Path="/")
    iam.add_user_to_group(GroupName="tf-group", UserName="tf-user")
    pages = iam.get_paginator("get_group").paginate(GroupName="tf-group")
    assert [each["UserName"] for page in pages for each in page["Users"]] == ["tf-user"]
    groups = iam.get_paginator("list_groups_for_user").paginate(UserName="tf-user")
    assert [each["GroupName"] for page in groups for each in page["Groups"]] == ["tf-group"]

    # aws_iam_user_policy, aws_iam_user_policy_attachment, aws_iam_group_policy
    iam.put_user_policy(UserName="tf-user", PolicyName="inline", PolicyDocument=allowing("ecr:PutImage"))
    shown = iam.get_user_policy(UserName="tf-user", PolicyName="inline")["PolicyDocument"]
    assert same(shown, allowing("ecr:PutImage"))
    power = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser"
    iam.attach_user_policy(UserName="tf-user", PolicyArn=power)
    attached = iam.list_attached_user_policies(UserName="tf-user")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == [power]
    iam.put_group_policy(GroupName="tf-group", PolicyName="g", PolicyDocument=allowing("ecr:*"))
    assert same(iam.get_group_policy(GroupName="tf-group", PolicyName="g")["PolicyDocument"], allowing("ecr:*"))

    # A rename in place: everything stays with it.
    iam.update_user(UserName="tf-user", NewUserName="tf-renamed", NewPath="/")
    renamed = iam.get_user(UserName="tf-renamed")["User"]
    assert (renamed["UserId"], renamed["Arn"]) == (made["UserId"], f"{ARN}:user/tf-renamed")
    assert iam.list_access_keys(UserName="tf-renamed")["AccessKeyMetadata"][0]["UserName"] == "tf-renamed"

    # Destroy with force_destroy.
    name = "tf-renamed"
    for group in iam.list_groups_for_user(UserName=name)["Groups"]:
        iam.remove_user_from_group(UserName=name, GroupName=group["GroupName"])
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    for policy in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
        iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
    for each in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=each["AccessKeyId"])
    assert iam.list_ssh_public_keys(UserName=name)["SSHPublicKeys"] == []
    assert iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"] == []
    assert iam.list_mfa_devices(UserName=name)["MFADevices"] == []
    assert refused(iam.delete_login_profile, UserName=name) == "NoSuchEntity"
    assert iam.list_signing_certificates(UserName=name)["Certificates"] == []
    assert iam.list_service_specific_credentials(UserName=name)["ServiceSpecificCredentials"] == []
    iam.delete_user(UserName=name)
    assert refused(iam.get_user, UserName=name) == "NoSuchEntity"
    iam.delete_group_policy(GroupName="tf-group", PolicyName="g")
    iam.delete_group(GroupName="tf-group")
    assert refused(iam.get_group, GroupName="tf-group") == "NoSuchEntity"


def test_the_attachments(iam: Any) -> None:
    """aws_iam_group_policy_attachment; aws_iam_policy_attachment, which owns all of a policy's attachments."""
    policy = iam.create_policy(PolicyName="tf-attached", PolicyDocument=allowing("ecr:*"))["Policy"]["Arn"]
    iam.create_user(UserName="tf-attached")
    iam.create_group(GroupName="tf-attached")
    iam.create_role(RoleName="tf-attached", AssumeRolePolicyDocument=trusting({"AWS": f"{ARN}:root"}))

    def read() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"users": [], "groups": [], "roles": []}
        for page in iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=policy):
            found["users"] += [each["UserName"] for each in page["PolicyUsers"]]
            found["groups"] += [each["GroupName"] for each in page["PolicyGroups"]]
            found["roles"] += [each["RoleName"] for each in page["PolicyRoles"]]
        return found

    iam.attach_user_policy(UserName="tf-attached", PolicyArn=policy)
    iam.attach_group_policy(GroupName="tf-attached", PolicyArn=policy)
    iam.attach_role_policy(RoleName="tf-attached", PolicyArn=policy)
    assert read() == {"users": ["tf-attached"], "groups": ["tf-attached"], "roles": ["tf-attached"]}
    assert iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 3
    pages = iam.get_paginator("list_attached_group_policies").paginate(GroupName="tf-attached")
    assert [each["PolicyArn"] for page in pages for each in page["AttachedPolicies"]] == [policy]
    iam.attach_group_policy(GroupName="tf-attached", PolicyArn=policy)  # applied again: nothing changes
    assert iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 3

    assert refused(iam.delete_policy, PolicyArn=policy) == "DeleteConflict"
    iam.detach_group_policy(GroupName="tf-attached", PolicyArn=policy)
    assert read() == {"users": ["tf-attached"], "groups": [], "roles": ["tf-attached"]}
    iam.detach_user_policy(UserName="tf-attached", PolicyArn=policy)
    iam.detach_role_policy(RoleName="tf-attached", PolicyArn=policy)
    assert read() == {"users": [], "groups": [], "roles": []}
    # Detached by somebody else already: what the provider ignores when it destroys.
    assert refused(iam.detach_role_policy, RoleName="tf-attached", PolicyArn=policy) == "NoSuchEntity"
    iam.delete_role(RoleName="tf-attached")
    iam.delete_group(GroupName="tf-attached")
    iam.delete_user(UserName="tf-attached")
    iam.delete_policy(PolicyArn=policy)


def test_aws_iam_principal_policy_simulation(iam: Any) -> None:
    iam.create_user(UserName="tf-simulated")
    iam.put_user_policy(UserName="tf-simulated", PolicyName="p", PolicyDocument=allowing("ecr:PutImage"))
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=f"{ARN}:user/tf-simulated", ActionNames=["ecr:PutImage", "ecr:DeleteRepository"]
    )
    found = {each["EvalActionName"]: each["EvalDecision"] for page in pages for each in page["EvaluationResults"]}
    assert found == {"ecr:PutImage": "allowed", "ecr:DeleteRepository": "implicitDeny"}
    iam.delete_user_policy(UserName="tf-simulated", PolicyName="p")
    iam.delete_user(UserName="tf-simulated")


def test_a_repository_policy_follows_its_users_and_roles(server: ServerProcess, iam: Any) -> None:
    ecr = server.client("ecr", ACCOUNT)
    ecr.create_repository(repositoryName="follows")

    def put(*arns: str) -> Any:
        statement = {"Effect": "Allow", "Principal": {"AWS": list(arns)}, "Action": "ecr:BatchGetImage"}
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        ecr.set_repository_policy(repositoryName="follows", policyText=text)
        return named()

    def named() -> Any:
        text = ecr.get_repository_policy(repositoryName="follows")["policyText"]
        return json.loads(text)["Statement"][0]["Principal"]["AWS"]

    role, user = f"{ARN}:role/ci/follows-role", f"{ARN}:user/follows-user"
    # Of accounts that keep none here, any is taken; of this one, once it has roles, only those.
    assert put("arn:aws:iam::999988887777:role/any", "arn:aws:iam::999988887777:user/any")
    iam.create_role(RoleName="follows-role", Path="/ci/", AssumeRolePolicyDocument=trusting({"AWS": f"{ARN}:root"}))
    iam.create_user(UserName="follows-user")
    for missing in (f"{ARN}:role/follows-role", f"{ARN}:role/absent", f"{ARN}:user/absent"):
        with pytest.raises(Error) as error:
            put(role, missing)
        assert "'Principal not found'" in str(error.value)
    assert put(role, user) == [role, user]
    iam.update_user(UserName="follows-user", NewUserName="follows-renamed")
    renamed = f"{ARN}:user/follows-renamed"
    assert named() == [role, renamed]
    iam.delete_role(RoleName="follows-role")
    left, still = named()
    assert left.startswith("AROA")
    assert still == renamed
    iam.create_role(RoleName="follows-role", Path="/ci/", AssumeRolePolicyDocument=trusting({"AWS": f"{ARN}:root"}))
    assert named() == [left, renamed]
    assert put(left, renamed) == [left, renamed]
    assert put(renamed) in ([renamed], renamed)
    with pytest.raises(Error) as error:
        put(left)
    assert "'Principal not found'" in str(error.value)
    iam.delete_role(RoleName="follows-role")
    iam.delete_user(UserName="follows-renamed")
