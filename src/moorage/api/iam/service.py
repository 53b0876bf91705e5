"""The IAM service: what its operations may use, and what each is decided on (resources and condition keys)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from moorage.access.authorize import NamedResource, Resource
from moorage.access.operations import Conditions, fit_for_iam, iam_conditions, resource_tags
from moorage.access.principals import Principals
from moorage.analysis.simulate import Simulator
from moorage.api.authorization import Concealed, Target
from moorage.api.aws.operation import Call, Service
from moorage.api.aws.query import Parameters
from moorage.api.iam import fields
from moorage.clock import Clock
from moorage.errors import QueryError, UnrecognizedClient
from moorage.identity.arns import identity_arn, policy_arn
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import GROUP, ROLE, USER, Entity, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class IamServices:
    """Everything an IAM operation may use, as `call.services`."""

    identity: Identity
    principals: Principals
    simulator: Simulator
    clock: Clock


IamCall: TypeAlias = Call[IamServices]
FindsResource: TypeAlias = Callable[[IamCall, Parameters], Awaitable[Sequence[Target]]]
FindsConditions: TypeAlias = Callable[[IamCall, Parameters], Awaitable[Conditions]]

IAM: Service[IamServices] = Service("iam", "query", "2010-05-08")


def by(call: IamCall) -> str:
    """Who acts, for the records."""
    return call.caller.principal.arn


def owner(call: IamCall, request: Parameters) -> str | None:
    """The user that UserName names, else the caller itself; None is the account's root.

    A role's session is neither: ValidationError, lest it be taken for the root.
    """
    named, principal = fields.optional_name(request, "UserName"), call.caller.principal
    if named is None and principal.kind not in {"user", "root"}:
        raise QueryError("ValidationError", "Must specify userName when calling with non-User credentials")
    return named or principal.user_name


def name_of(kind: Kind, request: Parameters) -> str:
    """The user, group or role that a request names."""
    return fields.name(request, f"{kind.title}Name", 64 if kind is ROLE else 128)


async def found(call: IamCall, kind: Kind, name: str) -> Entity | None:
    """The user, group or role of that name."""
    identity = call.services.identity
    if kind is USER:
        return await identity.users.find(call.account, name)
    if kind is GROUP:
        return await identity.groups.find(call.account, name)
    return await identity.roles.find(call.account, name)


# What operations are decided on: for `resource=` of an operation's declaration.


def the(kind: Kind) -> FindsResource:
    """The one named, by its ARN. A denial names it without its path, whether it exists or not."""

    async def resource(call: IamCall, request: Parameters) -> Sequence[Target]:
        return await _named(call, kind, name_of(kind, request))

    return resource


async def the_owner(call: IamCall, request: Parameters) -> Sequence[Target]:
    """As `the(USER)`, but UserName may be left out. Of the root's own there is no ARN to grant: `*`."""
    name = owner(call, request)
    if name is None:
        return in_account(call, "*")
    return await _named(call, USER, name)


def the_new(kind: Kind) -> FindsResource:
    """The one to be made, at its path."""

    async def resource(call: IamCall, request: Parameters) -> Sequence[Resource]:
        name = fields.name(request, f"{kind.title}Name", 128 if kind is GROUP else 64)
        return in_account(call, identity_arn(kind.name, call.account, fields.path(request), name))

    return resource


def the_renamed(kind: Kind) -> FindsResource:
    """The one named, and under the name and path that it shall have: both must be allowed (IAM user guide)."""

    async def resource(call: IamCall, request: Parameters) -> Sequence[Target]:
        name = name_of(kind, request)
        there = await found(call, kind, name)
        new_name = fields.optional_name(request, f"New{kind.title}Name", 128 if kind is GROUP else 64) or name
        path = None if request.get("NewPath") is None else fields.path(request, "NewPath")
        target = identity_arn(kind.name, call.account, path or "/", new_name)
        renamed = target if there is None else identity_arn(kind.name, call.account, path or there.path, new_name)
        return list(dict.fromkeys([*await _named(call, kind, name), *concealed(call, target, renamed)]))

    return resource


def those_under(kind: Kind) -> FindsResource:
    """Lists are decided on what is under the path prefix [recall: the ARN IAM names in its denials]."""

    async def resource(call: IamCall, request: Parameters) -> Sequence[Resource]:
        return in_account(call, identity_arn(kind.name, call.account, fields.path_prefix(request), ""))

    return resource


async def the_policy(call: IamCall, request: Parameters) -> Sequence[Resource]:
    """The managed policy that PolicyArn names."""
    return in_account(call, fields.arn(request))


async def the_new_policy(call: IamCall, request: Parameters) -> Sequence[Resource]:
    name = fields.name(request, "PolicyName")
    return in_account(call, policy_arn(call.account, fields.policy_path(request), name))


async def nothing(call: IamCall, _request: Parameters) -> Sequence[Resource]:
    """An action without a resource type."""
    return in_account(call, "*")


async def _named(call: IamCall, kind: Kind, name: str) -> Sequence[Target]:
    there = await found(call, kind, name)
    asked = identity_arn(kind.name, call.account, "/", name)
    return concealed(call, asked, asked if there is None else there.arn)


def concealed(call: IamCall, asked: str, found: str) -> Sequence[Target]:
    """The ARN `found`; a caller who may not use it is denied on `asked`, as if nothing had been found."""
    (resource,) = in_account(call, found)
    return [resource if asked == found else Concealed(resource._replace(arn=asked), resource)]


def in_account(call: IamCall, *arns: str) -> Sequence[NamedResource]:
    """These resources of the caller's account. UnrecognizedClient for sessions that IAM refuses."""
    if not fit_for_iam(call.caller):
        raise UnrecognizedClient
    return [NamedResource(call.account, arn) for arn in arns]


# The condition keys of IAM: for `conditions=`.


def about(
    kind: Kind, *, boundary: bool = False, new_boundary: bool = False, policy: bool = False, tags: bool = False
) -> FindsConditions:
    """The tags that the one named has, and what the operation adds.

    `boundary`: the permissions boundary it has; `new_boundary`: the one in the request; `policy`: PolicyArn;
    `tags`: the tags or keys in the request.
    """

    async def conditions(call: IamCall, request: Parameters) -> Conditions:
        values = requested(request, boundary=new_boundary, policy=policy, tags=tags)
        name = owner(call, request) if kind is USER else name_of(kind, request)
        there = None if name is None else await found(call, kind, name)
        if there is not None:
            values.update(resource_tags("iam", await call.services.identity.tags.of(there.id)))
            if boundary and there.boundary_id is not None:
                values["iam:permissionsboundary"] = await call.services.identity.managed.arn_of(there.boundary_id) or ""
        return values

    return conditions


async def about_policy(call: IamCall, request: Parameters) -> Conditions:
    """The tags that the managed policy has, and those in the request."""
    values = requested(request, tags=True)
    policy = await call.services.identity.managed.find(call.account, fields.arn(request))
    if policy is not None:
        values.update(resource_tags("iam", await call.services.identity.tags.of(policy.id)))
    return values


async def about_new(_call: IamCall, request: Parameters) -> Conditions:
    """Of what is to be made: its tags and permissions boundary."""
    return requested(request, boundary=True, tags=True)


def requested(
    request: Parameters, *, boundary: bool = False, policy: bool = False, tags: bool = False
) -> dict[str, str | tuple[str, ...]]:
    """The condition keys that come from the request alone."""
    return iam_conditions(
        boundary=fields.optional_arn(request, "PermissionsBoundary") if boundary else None,
        policy=fields.arn(request) if policy else None,
        tags=fields.tags(request) if tags else {},
        tag_keys=fields.tag_keys(request) if tags else (),
    )
