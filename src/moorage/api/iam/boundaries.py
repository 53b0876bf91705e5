"""Permissions boundaries of users and roles: Put- and Delete{User,Role}PermissionsBoundary."""

from moorage.api.aws.query import Parameters
from moorage.api.iam import fields
from moorage.api.iam.service import IAM, IamCall, about, by, name_of, the
from moorage.identity.principals.entity import ROLE, USER, Kind


def _operations(kind: Kind) -> None:
    """Register the two operations of one kind of owner."""
    put, remove = f"Put{kind.title}PermissionsBoundary", f"Delete{kind.title}PermissionsBoundary"

    @IAM.operation(put, action=f"iam:{put}", resource=the(kind), conditions=about(kind, new_boundary=True))
    async def put_boundary(call: IamCall, request: Parameters) -> None:
        name, arn = name_of(kind, request), fields.arn(request, "PermissionsBoundary")
        await call.services.identity.attachments.set_boundary(kind, call.account, name, arn, by(call))

    @IAM.operation(remove, action=f"iam:{remove}", resource=the(kind), conditions=about(kind, boundary=True))
    async def delete_boundary(call: IamCall, request: Parameters) -> None:
        await call.services.identity.attachments.remove_boundary(kind, call.account, name_of(kind, request), by(call))


for _kind in (USER, ROLE):
    _operations(_kind)
