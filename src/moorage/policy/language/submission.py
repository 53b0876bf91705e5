"""What IAM refuses in a new policy document: errors of grammar, and violations of further rules.

The further rules apply to new documents only: stored ones, which may be older than a rule, are still read and
evaluated. The sentences are AWS's, as far as public bug reports quote them.
"""

import re
from collections.abc import Iterator
from typing import Final

from moorage.policy.language.elements import WITH_VARIABLES
from moorage.policy.language.kind import Kind
from moorage.policy.language.parsed import Parsed
from moorage.policy.matching.action import EVERYTHING

_SERVICE: Final = re.compile(r"[A-Za-z0-9.-]+")
_PARTITION: Final = re.compile(r"aws[a-z-]*|[a-z-]*[*?][a-z*?-]*")
_IAM_TYPES: Final = (
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
)


def refusal(policy: Parsed, *, managed: bool = False) -> str | None:
    """Return why IAM refuses a document; None if IAM accepts it. An error of grammar is named with its JSON pointer.

    `managed`: whether it is a version of a managed policy, which needs version 2012-10-17 of the policy language.
    """
    if policy.errors:
        first = policy.errors[0]
        return f"{first.reason}, at {first.pointer or '/'}"
    if managed and policy.elements.version != WITH_VARIABLES:
        return "Policy document must be version 2012-10-17 or greater."
    return next(_refusals(policy), None)


def _refusals(policy: Parsed) -> Iterator[str]:
    for one in policy.elements.statements:
        for action in one.action.texts:
            refused = _trust_action(action) if policy.kind is Kind.TRUST else _action(action)
            if refused is not None:
                yield refused
        for resource in () if one.resource is None else one.resource.texts:
            refused = _resource(resource)
            if refused is not None:
                yield refused


def _action(text: str) -> str | None:
    if text == EVERYTHING:
        return None
    service, _, name = text.partition(":")
    if ":" in name:
        return "Actions/Condition can contain only one colon."
    if "*" in service or "?" in service:
        return "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."
    if _SERVICE.fullmatch(service) is None:
        return f"Vendor {service} is not valid"
    if not name:
        return "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
    return None


def _trust_action(text: str) -> str | None:
    service, _, name = text.partition(":")
    if service.lower() != "sts" or not name or ":" in name:
        return "AssumeRole policy may only specify STS AssumeRole actions."
    return None


def _resource(text: str) -> str | None:
    if text == "*":
        return None
    if not text.startswith("arn:"):
        return f'Resource {text} must be in ARN format or "*".'
    partition, colon, rest = text.removeprefix("arn:").partition(":")
    fields = [*rest.split(":", 3), "*", "*", "*"] if colon else ["*"] * 4
    service, region, account, resource = fields[:4]
    if _PARTITION.fullmatch(partition) is None:
        return (
            f'Partition "{partition}" is not valid for resource'
            f' "arn:{partition}:{service}:{region}:{account}:{resource}".'
        )
    if not colon:
        return "Resource vendor must be fully qualified and cannot contain regexes."
    if not service or (rest.count(":") < 3 and "::" in text):
        return "The policy failed legacy parsing"
    if service == "iam":
        if rest.count(":") and region:
            return f"IAM resource {text} cannot contain region information."
        if resource != "*" and not resource.startswith(_IAM_TYPES):
            return f'IAM resource path must either be "*" or start with {", ".join(_IAM_TYPES)}.'
    if service == "s3" and rest.count(":") and region:
        return f"Resource {text} can not contain region information."
    return None
