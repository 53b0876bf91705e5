"""The organisation's document by its meaning: texts that say the same become the same text."""

import json
from typing import Any

import msgspec

from moorage import policy
from moorage.access.organization import checked
from moorage.declarative.declaration import Organization
from moorage.identity.accounts import organizations
from moorage.identity.accounts.organizations import Root, Target, Unit

POLICIES = (("serviceControlPolicies", policy.Kind.SCP), ("resourceControlPolicies", policy.Kind.RCP))
"""The members that hold policies by name, and of which kind they are."""


def canonical(document: str) -> Organization:
    """The organisation that `document` (JSON) holds. MalformedOrganization.

    Policies in their own canonical form; what has no order (units, accounts, policies and their attachments) in one
    order; what is as it is by default left out.
    """
    read = checked(document)
    said: dict[str, Any] = {"id": read.id, "managementAccount": read.management_account}
    for (member, kind), policies in zip(
        POLICIES, (read.service_control_policies, read.resource_control_policies), strict=True
    ):
        if policies:
            said[member] = {name: _canonical(policies[name], kind) for name in sorted(policies)}
    return Organization(json.dumps(said | {"root": _target(read.root)}, indent=2))


def _canonical(raw: msgspec.Raw, kind: policy.Kind) -> Any:
    return json.loads(policy.parse(bytes(raw).decode(), kind).canonical())


def _target(target: Root | Unit | organizations.Account) -> dict[str, Any]:
    said: dict[str, Any] = {"id": target.id}
    if isinstance(target, Unit) and target.name:
        said["name"] = target.name
    if sorted(target.service_control_policies) != list(Target().service_control_policies):
        said["serviceControlPolicies"] = sorted(target.service_control_policies)
    if target.resource_control_policies:
        said["resourceControlPolicies"] = sorted(target.resource_control_policies)
    if isinstance(target, Root | Unit):
        accounts = {each.id: _target(each) for each in target.accounts}
        units = {each.id: _target(each) for each in target.units}
        for member, below in (("accounts", accounts), ("units", units)):
            if below:
                said[member] = [below[each] for each in sorted(below)]
    return said
