"""Service-linked roles: CreateServiceLinkedRole, DeleteServiceLinkedRole, GetServiceLinkedRoleDeletionStatus.

Only those of ECR, which its set-up tools ask for. Moorage's own work needs no role.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from moorage.access.operations import Conditions
from moorage.access.resources import Resource
from moorage.api.iam import response_members, shapes
from moorage.api.iam.service import IamCall, by, in_account
from moorage.errors import QueryError
from moorage.identity.arns import identity_arn
from moorage.identity.principals.entity import ROLE

_NAMES: Final[Mapping[str, str]] = {
    "replication.ecr.amazonaws.com": "AWSServiceRoleForECRReplication",
    "pullthroughcache.ecr.amazonaws.com": "AWSServiceRoleForECRPullThroughCache",
    "ecr.amazonaws.com": "AWSServiceRoleForECRTemplate",
}
"""Names of the roles by service."""


def _path_and_name(request: shapes.CreateServiceLinkedRoleRequest) -> tuple[str, str]:
    """Return path and name of the role of a service. Raises InvalidInput for a service that has none here."""
    service = request.aws_service_name
    if service not in _NAMES:
        raise QueryError("InvalidInput", f"Service {service} has no service-linked role here.")
    if request.custom_suffix is not None:
        raise QueryError("InvalidInput", f"Custom suffix is not allowed for {service}")
    return f"/aws-service-role/{service}/", _NAMES[service]


async def the_service_role(call: IamCall, request: shapes.CreateServiceLinkedRoleRequest) -> Sequence[Resource]:
    path, name = _path_and_name(request)
    return in_account(call, identity_arn(ROLE.name, call.account, path, name))


async def about_service(_call: IamCall, request: shapes.CreateServiceLinkedRoleRequest) -> Conditions:
    return {"iam:awsservicename": request.aws_service_name}


async def create_service_linked_role(
    call: IamCall, request: shapes.CreateServiceLinkedRoleRequest
) -> shapes.CreateServiceLinkedRoleResponse:
    service, (path, name) = request.aws_service_name, _path_and_name(request)
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    roles = call.services.identity.roles
    if await roles.find(call.account, name) is not None:
        raise QueryError(
            "InvalidInput",
            f"Service role name {name} has been taken in this account, please try a different suffix.",
        )
    role = await roles.create(
        call.account, path, name, json.dumps(trust), by(call), description=request.description or "", service=service
    )
    return shapes.CreateServiceLinkedRoleResponse(role=await response_members.created_role(call, role))


async def delete_service_linked_role(
    call: IamCall, request: shapes.DeleteServiceLinkedRoleRequest
) -> shapes.DeleteServiceLinkedRoleResponse:
    """Delete the role at once: nothing here depends on it."""
    roles = call.services.identity.roles
    role = await roles.get(call.account, request.role_name)
    await roles.delete(call.account, request.role_name, by(call), service_linked=True)
    return shapes.DeleteServiceLinkedRoleResponse(deletion_task_id=f"task{role.path}{role.name}/{uuid.uuid4()}")


async def the_deleted_role(
    call: IamCall, request: shapes.GetServiceLinkedRoleDeletionStatusRequest
) -> Sequence[Resource]:
    steps = _task_steps(request)
    return in_account(call, identity_arn(ROLE.name, call.account, f"/{'/'.join(steps[1:-2])}/", steps[-2]))


async def get_service_linked_role_deletion_status(
    call: IamCall, request: shapes.GetServiceLinkedRoleDeletionStatusRequest
) -> shapes.GetServiceLinkedRoleDeletionStatusResponse:
    """Return that the role is deleted, which it is once its deletion was answered."""
    if await call.services.identity.roles.find(call.account, _task_steps(request)[-2]) is not None:
        raise QueryError("NoSuchEntity", "The deletion task cannot be found.", 404)
    return shapes.GetServiceLinkedRoleDeletionStatusResponse(status="SUCCEEDED")


def _task_steps(request: shapes.GetServiceLinkedRoleDeletionStatusRequest) -> list[str]:
    """Return the steps of `task/aws-service-role/SERVICE/ROLE/ID`. Raises InvalidInput for any other text."""
    steps = request.deletion_task_id.split("/")
    if len(steps) != 5 or steps[:2] != ["task", "aws-service-role"] or _NAMES.get(steps[2]) != steps[3]:
        raise QueryError("InvalidInput", "The deletion task id is not valid.")
    return steps
