"""What IAM refuses in a new policy document, and what it accepts."""

import json
from typing import Any

import pytest

from moorage.policy.language.kind import Kind
from moorage.policy.language.parsed import parsed
from moorage.policy.language.submission import refusal

WILDCARD_VENDOR = "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."
NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
ONE_COLON = "Actions/Condition can contain only one colon."
ONLY_STS = "AssumeRole policy may only specify STS AssumeRole actions."
NO_REGEX = "Resource vendor must be fully qualified and cannot contain regexes."
LEGACY = "The policy failed legacy parsing"
OLD_VERSION = "Policy document must be version 2012-10-17 or greater."
TYPES = "user/ federated-user/ role/ group/ instance-profile/ mfa/ server-certificate/ policy/ sms-mfa/ saml-provider/"
IAM_TYPES = (
    'IAM resource path must either be "*" or start with '
    + ", ".join([*TYPES.split(), "oidc-provider/", "report/", "access-report/"])
    + "."
)


def identity(action: Any = "ecr:*", resource: Any = "*", version: str | None = "2012-10-17") -> str:
    head = {} if version is None else {"Version": version}
    return json.dumps({**head, "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})


def trust(action: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def refused(text: str, kind: Kind = Kind.IDENTITY, *, managed: bool = False) -> str | None:
    return refusal(parsed(text, kind), managed=managed)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("*", None),
        ("ecr:*", None),
        ("ecr-public:Get?", None),
        ("iam: asdf safdsf af ", None),
        (["ecr:*", "S3:Get*"], None),
        ("*:PutImage", WILDCARD_VENDOR),
        ("*:*", WILDCARD_VENDOR),
        ("e?r:*", WILDCARD_VENDOR),
        (["ecr:PutImage", "ec*:*"], WILDCARD_VENDOR),
        ("ecr:Batch:Get", ONE_COLON),
        ("e c r:PutImage", "Vendor e c r is not valid"),
        (":PutImage", "an action is * or service:name, not :PutImage, at /Statement/0/Action"),
        ("ecr:", NO_VENDOR),
        ("PutImage", "an action is * or service:name, not PutImage, at /Statement/0/Action"),
    ],
)
def test_actions(action: Any, says: str | None) -> None:
    assert refused(identity(action)) == says
    inverse = identity(action).replace('"Action"', '"NotAction"')
    assert refused(inverse) == (says and says.replace("/Action", "/NotAction"))


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("sts:AssumeRole", None),
        ("STS:assumerole", None),
        ("sts:*", None),
        (["sts:AssumeRole", "sts:TagSession"], None),
        ("*", ONLY_STS),
        ("s*:AssumeRole", ONLY_STS),
        ("ecr:PutImage", ONLY_STS),
        ("sts:", ONLY_STS),
        ("sts:a:b", ONLY_STS),
        (["sts:AssumeRole", "iam:PassRole"], ONLY_STS),
    ],
)
def test_actions_of_trust_policies(action: Any, says: str | None) -> None:
    assert refused(trust(action), Kind.TRUST) == says


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ("*", None),
        ("arn:aws:ecr", None),
        ("arn:aws:ecr:*", None),
        ("arn:aws:ecr:us-east-1:111122223333:repository/app", None),
        ("arn:aws:ecr:*:*:*/app", None),
        ("arn:*:ecr:*:*:repository/*", None),
        ("arn:a*:ecr:*:*:repository/*", None),
        ("arn:aws-cn:s3:::bucket", None),
        ("arn:aws:s3:::bucket/key:with:colons", None),
        ("arn:aws:s3", None),
        ("arn:aws:iam::111122223333:*", None),
        ("arn:aws:iam::*:user/*", None),
        ("arn:aws:iam", None),
        ("**", 'Resource ** must be in ARN format or "*".'),
        (["*", "*:repository/app"], 'Resource *:repository/app must be in ARN format or "*".'),
        ("app", "a resource is an ARN or *, not app, at /Statement/0/Resource"),
        ("arn:aws", NO_REGEX),
        ("arn:amazon", 'Partition "amazon" is not valid for resource "arn:amazon:*:*:*:*".'),
        ("arn:amazon:s3:::bucket", 'Partition "amazon" is not valid for resource "arn:amazon:s3:::bucket".'),
        ("arn:amazon:s3", 'Partition "amazon" is not valid for resource "arn:amazon:s3:*:*:*".'),
        ("arn:amazon:a:b:c:d:e", 'Partition "amazon" is not valid for resource "arn:amazon:a:b:c:d:e".'),
        ("arn:aws::us-east-1:1:x", LEGACY),
        ("arn:aws:ecr::x", LEGACY),
        ("arn:aws:ecr:::x", None),
        (
            "arn:aws:iam:us-east-1:111122223333:user/ann",
            "IAM resource arn:aws:iam:us-east-1:111122223333:user/ann cannot contain region information.",
        ),
        ("arn:aws:iam:us-east-1", "IAM resource arn:aws:iam:us-east-1 cannot contain region information."),
        ("arn:aws:iam::111122223333:u*", IAM_TYPES),
        ("arn:aws:iam::111122223333:access-report/x", None),
        ("arn:aws:s3:us-east-1::bucket", "Resource arn:aws:s3:us-east-1::bucket can not contain region information."),
        ("arn:aws:s3:us-east-1", "Resource arn:aws:s3:us-east-1 can not contain region information."),
    ],
)
def test_resources(resource: Any, says: str | None) -> None:
    assert refused(identity(resource=resource)) == says


def test_managed_policies_need_the_version_with_variables() -> None:
    for version, says in (("2012-10-17", None), ("2008-10-17", OLD_VERSION), (None, OLD_VERSION)):
        text = identity(version=version)
        assert refused(text, managed=True) == says
        assert refused(text) is None


def test_an_error_of_grammar_comes_before_everything_else() -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps", "Action": "*:*", "Resource": "*"}]})
    said = refused(text, managed=True)
    assert said is not None
    assert said.endswith(", at /Statement/0/Effect")
    said = refused("{", managed=True)
    assert said is not None
    assert said.endswith(", at /")


def test_the_first_violation_in_the_order_of_the_document_is_reported() -> None:
    statements = [
        {"Effect": "Allow", "Action": "ecr:*", "Resource": "**"},
        {"Effect": "Allow", "Action": "*:*", "Resource": "*"},
    ]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    assert refused(text) == 'Resource ** must be in ARN format or "*".'
