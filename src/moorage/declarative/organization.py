"""The canonical form of an organization's document: documents that mean the same become the same text."""

import json
from typing import Any

import msgspec

from moorage import policy
from moorage.access.organization import checked
from moorage.declarative.declaration import Organization
from moorage.identity.accounts import organizations
from moorage.identity.accounts.organizations import Root, Target, Unit

POLICIES = (("serviceControlPolicies", policy.Kind.SCP), ("resourceControlPolicies", policy.Kind.RCP))
"""The members of the document that contain policies by name, and the kind of these policies."""


def canonical(document: str) -> Organization:
    """Return the organization of a JSON document in canonical form. MalformedOrganization.

    Policies are in their own canonical form. Units, accounts, policies and attachments, whose order means nothing, are
    sorted. Defaults are omitted.
    """
    organization = checked(document)
    written: dict[str, Any] = {"id": organization.id, "managementAccount": organization.management_account}
    for (member, kind), policies in zip(
        POLICIES, (organization.service_control_policies, organization.resource_control_policies), strict=True
    ):
        if policies:
            written[member] = {name: _canonical(policies[name], kind) for name in sorted(policies)}
    return Organization(json.dumps(written | {"root": _target(organization.root)}, indent=2))


def _canonical(raw: msgspec.Raw, kind: policy.Kind) -> Any:
    return json.loads(policy.parse(bytes(raw).decode(), kind).canonical())


def _target(target: Root | Unit | organizations.Account) -> dict[str, Any]:
    document: dict[str, Any] = {"id": target.id}
    if isinstance(target, Unit) and target.name:
        document["name"] = target.name
    if sorted(target.service_control_policies) != list(Target().service_control_policies):
        document["serviceControlPolicies"] = sorted(target.service_control_policies)
    if target.resource_control_policies:
        document["resourceControlPolicies"] = sorted(target.resource_control_policies)
    if isinstance(target, Root | Unit):
        accounts = {each.id: _target(each) for each in target.accounts}
        units = {each.id: _target(each) for each in target.units}
        for member, below in (("accounts", accounts), ("units", units)):
            if below:
                document[member] = [below[each] for each in sorted(below)]
    return document
