"""The IAM service: what its operations may use, whom they act on, and the resources they are decided on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from moorage.access.authorize import NamedResource, Resource
from moorage.api.aws.operation import Call, Service
from moorage.api.aws.query import Parameters
from moorage.api.iam import fields
from moorage.clock import Clock
from moorage.errors import UnrecognizedClient
from moorage.identity.arns import identity_arn
from moorage.identity.identity import Identity


@dataclass(frozen=True, slots=True)
class IamServices:
    """Everything an IAM operation may use, as `call.services`."""

    identity: Identity
    clock: Clock


IamCall: TypeAlias = Call[IamServices]

IAM: Service[IamServices] = Service("iam", "query", "2010-05-08")


def by(call: IamCall) -> str:
    """Who acts, for the records."""
    return call.caller.principal.arn


def owner(call: IamCall, request: Parameters) -> str | None:
    """The user that UserName names, else the caller itself; None is the account's root."""
    return fields.optional_name(request, "UserName") or call.caller.principal.user_name


# What operations are decided on: for `resource=` of an operation's declaration.


async def the_user(call: IamCall, request: Parameters) -> Sequence[Resource]:
    """The user named, by its true ARN; one that is not there as if it had no path, so that a denial tells nothing."""
    return await _user(call, fields.name(request, "UserName"))


async def the_owner(call: IamCall, request: Parameters) -> Sequence[Resource]:
    """As `the_user`, but UserName may be left out. Of the root's own there is no ARN to grant: `*`."""
    name = owner(call, request)
    if name is None:
        return _in_account(call, "*")
    return await _user(call, name)


async def the_new_user(call: IamCall, request: Parameters) -> Sequence[Resource]:
    return _in_account(call, identity_arn("user", call.account, fields.path(request), fields.new_user_name(request)))


async def users_under(call: IamCall, request: Parameters) -> Sequence[Resource]:
    """ListUsers is decided on the users under the path prefix [recall: the ARN IAM names in its denials]."""
    return _in_account(call, identity_arn("user", call.account, fields.path_prefix(request), ""))


async def _user(call: IamCall, name: str) -> Sequence[Resource]:
    found = await call.services.identity.users.find(call.account, name)
    return _in_account(call, identity_arn("user", call.account, "/", name) if found is None else found.arn)


def _in_account(call: IamCall, arn: str) -> Sequence[Resource]:
    """IAM refuses sessions of GetSessionToken, which here are made without MFA (STS API reference)."""
    if call.caller.credential == "session":
        raise UnrecognizedClient
    return (NamedResource(call.account, arn),)
