"""Roles of services: CreateServiceLinkedRole, DeleteServiceLinkedRole, GetServiceLinkedRoleDeletionStatus.

Those of ECR, which its set-up tools ask for; no other service runs here. Moorage's own work needs no role.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from moorage.access.authorize import Resource
from moorage.access.operations import Conditions
from moorage.api.aws.query import Parameters, Value, checked
from moorage.api.iam import fields, response_members
from moorage.api.iam.service import IAM, IamCall, about, by, in_account, name_of, the
from moorage.errors import QueryError
from moorage.identity.arns import identity_arn
from moorage.identity.principals.entity import ROLE

_NAMES: Final[Mapping[str, str]] = {
    "replication.ecr.amazonaws.com": "AWSServiceRoleForECRReplication",
    "pullthroughcache.ecr.amazonaws.com": "AWSServiceRoleForECRPullThroughCache",
    "ecr.amazonaws.com": "AWSServiceRoleForECRTemplate",
}


def _service(request: Parameters) -> tuple[str, str, str]:
    """The service, and path and name of its role; InvalidInput for a service that has none here."""
    service = fields.name(request, "AWSServiceName")
    if service not in _NAMES:
        raise QueryError("InvalidInput", f"Service {service} has no service-linked role here.")
    if fields.optional_name(request, "CustomSuffix", 64) is not None:
        raise QueryError("InvalidInput", f"Custom suffix is not allowed for {service}")
    return service, f"/aws-service-role/{service}/", _NAMES[service]


async def _the_service_role(call: IamCall, request: Parameters) -> Sequence[Resource]:
    _, path, name = _service(request)
    return in_account(call, identity_arn(ROLE.name, call.account, path, name))


async def _about_service(_call: IamCall, request: Parameters) -> Conditions:
    return {"iam:awsservicename": _service(request)[0]}


@IAM.operation(
    "CreateServiceLinkedRole",
    action="iam:CreateServiceLinkedRole",
    resource=_the_service_role,
    conditions=_about_service,
)
async def create_service_linked_role(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    service, path, name = _service(request)
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    description = fields.description(request) or ""
    roles = call.services.identity.roles
    if await roles.find(call.account, name) is not None:
        raise QueryError(
            "InvalidInput",
            f"Service role name {name} has been taken in this account, please try a different suffix.",
        )
    role = await roles.create(
        call.account, path, name, json.dumps(trust), by(call), description=description, service=service
    )
    return {"Role": await response_members.created_role(call, role)}


@IAM.operation(
    "DeleteServiceLinkedRole", action="iam:DeleteServiceLinkedRole", resource=the(ROLE), conditions=about(ROLE)
)
async def delete_service_linked_role(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """At once: nothing here depends on the role."""
    name = name_of(ROLE, request)
    roles = call.services.identity.roles
    role = await roles.get(call.account, name)
    await roles.delete(call.account, name, by(call), service_linked=True)
    return {"DeletionTaskId": f"task{role.path}{role.name}/{uuid.uuid4()}"}


async def _the_deleted_role(call: IamCall, request: Parameters) -> Sequence[Resource]:
    parts = _task(request).split("/")
    return in_account(call, identity_arn(ROLE.name, call.account, f"/{'/'.join(parts[1:-2])}/", parts[-2]))


@IAM.operation(
    "GetServiceLinkedRoleDeletionStatus",
    action="iam:GetServiceLinkedRoleDeletionStatus",
    resource=_the_deleted_role,
)
async def get_service_linked_role_deletion_status(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """A deletion that was answered is done."""
    if await call.services.identity.roles.find(call.account, _task(request).split("/")[-2]) is not None:
        raise QueryError("NoSuchEntity", "The deletion task cannot be found.", 404)
    return {"Status": "SUCCEEDED"}


def _task(request: Parameters) -> str:
    task = checked("DeletionTaskId", request.required("DeletionTaskId"), fields.ANY, 1, 1000)
    parts = task.split("/")
    if len(parts) != 5 or parts[:2] != ["task", "aws-service-role"] or _NAMES.get(parts[2]) != parts[3]:
        raise QueryError("InvalidInput", "The deletion task id is not valid.")
    return task
