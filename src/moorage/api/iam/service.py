"""The IAM service: what its operations may use, and what each is decided on (resources and condition keys)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Protocol, TypeAlias

from moorage.access.operations import Conditions, iam_conditions, may_call_iam, resource_tags
from moorage.access.principals import Principals
from moorage.access.resources import NamedResource, Resource
from moorage.analysis.simulate import Simulator
from moorage.api.authorization import Concealed, Target
from moorage.api.aws.operation import Call
from moorage.api.iam import shapes
from moorage.api.iam.parameters import tags_by_key
from moorage.clock import Clock
from moorage.errors import QueryError, UnrecognizedClient
from moorage.identity.arns import identity_arn, policy_arn
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import GROUP, KINDS, USER, Entity, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class IamServices:
    """Everything an IAM operation may use, as `call.services`."""

    identity: Identity
    principals: Principals
    simulator: Simulator
    clock: Clock


IamCall: TypeAlias = Call[IamServices]
FindsResource: TypeAlias = Callable[[IamCall, Any], Awaitable[Sequence[Target]]]
FindsConditions: TypeAlias = Callable[[IamCall, Any], Awaitable[Conditions]]
ReadsConditions: TypeAlias = Callable[[Any], Conditions]
"""Returns the condition keys that a request brings by itself."""


# What requests have in common.


class MayNameUser(Protocol):
    @property
    def user_name(self) -> str | None: ...


class MayHavePath(Protocol):
    @property
    def path(self) -> str | None: ...


class MayHavePathPrefix(Protocol):
    @property
    def path_prefix(self) -> str | None: ...


class HasPolicyArn(Protocol):
    @property
    def policy_arn(self) -> str: ...


class MayHaveTags(Protocol):
    @property
    def tags(self) -> list[shapes.Tag] | None: ...


class HasTagKeys(Protocol):
    @property
    def tag_keys(self) -> list[str]: ...


class MayHaveBoundary(Protocol):
    @property
    def permissions_boundary(self) -> str | None: ...


_NAME: Final[Mapping[str, Callable[[Any], str]]] = {kind: attrgetter(f"{kind}_name") for kind in KINDS}
"""Reads user_name, group_name or role_name of a request."""
_NEW_NAME: Final[Mapping[str, Callable[[Any], str | None]]] = {
    kind.name: attrgetter(f"new_{kind.name}_name") for kind in (USER, GROUP)
}


def by(call: IamCall) -> str:
    """Return who acts, for the records."""
    return call.caller.principal.arn


def owner(call: IamCall, request: MayNameUser) -> str | None:
    """Return the user that UserName names, else the caller itself; None for the account's root.

    Raises ValidationError for the session of a role, which is neither.
    """
    principal = call.caller.principal
    if request.user_name is None and principal.kind not in {"user", "root"}:
        raise QueryError("ValidationError", "Must specify userName when calling with non-User credentials")
    return request.user_name or principal.user_name


def name_of(kind: Kind, request: Any) -> str:
    """Return the name of the user, group or role that a request names."""
    return _NAME[kind.name](request)


def path_of(request: MayHavePath) -> str:
    return request.path or "/"


def path_prefix_of(request: MayHavePathPrefix) -> str:
    return request.path_prefix or "/"


async def find(call: IamCall, kind: Kind, name: str) -> Entity | None:
    """Return the user, group or role of that name; None if there is none."""
    identity = call.services.identity
    if kind is USER:
        return await identity.users.find(call.account, name)
    if kind is GROUP:
        return await identity.groups.find(call.account, name)
    return await identity.roles.find(call.account, name)


# What operations are decided on: for `resource` of an operation's declaration.


def the(kind: Kind) -> FindsResource:
    """The one that the request names, by its ARN. A denial names it without its path, whether it exists or not."""

    async def resource(call: IamCall, request: Any) -> Sequence[Target]:
        return await _named(call, kind, name_of(kind, request))

    return resource


async def the_owner(call: IamCall, request: MayNameUser) -> Sequence[Target]:
    """As `the(USER)`, but UserName is optional. The root's own resources have no ARN to grant: `*`."""
    name = owner(call, request)
    if name is None:
        return in_account(call, "*")
    return await _named(call, USER, name)


def the_new(kind: Kind) -> FindsResource:
    """The one to be created, at its path."""

    async def resource(call: IamCall, request: Any) -> Sequence[Resource]:
        return in_account(call, identity_arn(kind.name, call.account, path_of(request), name_of(kind, request)))

    return resource


def the_renamed(kind: Kind) -> FindsResource:
    """The one named, and the same one under its new name and path: both must be allowed (IAM user guide)."""

    async def resource(
        call: IamCall, request: shapes.UpdateUserRequest | shapes.UpdateGroupRequest
    ) -> Sequence[Target]:
        name, path = name_of(kind, request), request.new_path
        entity = await find(call, kind, name)
        new_name = _NEW_NAME[kind.name](request) or name
        target = identity_arn(kind.name, call.account, path or "/", new_name)
        renamed = target if entity is None else identity_arn(kind.name, call.account, path or entity.path, new_name)
        return list(dict.fromkeys([*await _named(call, kind, name), *concealed(call, target, renamed)]))

    return resource


def those_under(kind: Kind) -> FindsResource:
    """Everything under the path prefix, for lists [recall: the ARN IAM names in its denials]."""

    async def resource(call: IamCall, request: MayHavePathPrefix) -> Sequence[Resource]:
        return in_account(call, identity_arn(kind.name, call.account, path_prefix_of(request), ""))

    return resource


async def the_policy(call: IamCall, request: HasPolicyArn) -> Sequence[Resource]:
    """The managed policy that PolicyArn names."""
    return in_account(call, request.policy_arn)


async def the_new_policy(call: IamCall, request: shapes.CreatePolicyRequest) -> Sequence[Resource]:
    return in_account(call, policy_arn(call.account, path_of(request), request.policy_name))


async def no_resource(call: IamCall, _request: Any) -> Sequence[Resource]:
    """For an action without a resource type."""
    return in_account(call, "*")


async def _named(call: IamCall, kind: Kind, name: str) -> Sequence[Target]:
    entity = await find(call, kind, name)
    asked = identity_arn(kind.name, call.account, "/", name)
    return concealed(call, asked, asked if entity is None else entity.arn)


def concealed(call: IamCall, asked: str, found: str) -> Sequence[Target]:
    """Return the ARN `found`; a caller who may not use it is denied on `asked`, as if nothing had been found."""
    (resource,) = in_account(call, found)
    return [resource if asked == found else Concealed(resource._replace(arn=asked), resource)]


def in_account(call: IamCall, *arns: str) -> Sequence[NamedResource]:
    """Return these resources of the caller's account. Raises UnrecognizedClient for sessions that IAM refuses."""
    if not may_call_iam(call.caller):
        raise UnrecognizedClient
    return [NamedResource(call.account, arn) for arn in arns]


# The condition keys that a request brings by itself.


def new_boundary(request: MayHaveBoundary) -> Conditions:
    return iam_conditions(boundary=request.permissions_boundary)


def named_policy(request: HasPolicyArn) -> Conditions:
    return iam_conditions(policy=request.policy_arn)


def given_tags(request: MayHaveTags) -> Conditions:
    return iam_conditions(tags=tags_by_key(request.tags))


def removed_tag_keys(request: HasTagKeys) -> Conditions:
    return iam_conditions(tag_keys=request.tag_keys)


# The condition keys that operations are decided on: for `conditions` of an operation's declaration.


def about(kind: Kind, *given: ReadsConditions, boundary: bool = False) -> FindsConditions:
    """The tags of the one that the request names, and what the request brings.

    `boundary`: the permissions boundary in force as well.
    """

    async def conditions(call: IamCall, request: Any) -> Conditions:
        values = _all_of(given, request)
        name = owner(call, request) if kind is USER else name_of(kind, request)
        entity = None if name is None else await find(call, kind, name)
        if entity is not None:
            values.update(resource_tags("iam", await call.services.identity.tags.of(entity.id)))
            if boundary and entity.boundary_id is not None:
                arn = await call.services.identity.managed.arn_of(entity.boundary_id)
                values["iam:permissionsboundary"] = arn or ""
        return values

    return conditions


def about_policy(*given: ReadsConditions) -> FindsConditions:
    """The tags of the managed policy that PolicyArn names, and what the request brings."""

    async def conditions(call: IamCall, request: HasPolicyArn) -> Conditions:
        values = _all_of(given, request)
        policy = await call.services.identity.managed.find(call.account, request.policy_arn)
        if policy is not None:
            values.update(resource_tags("iam", await call.services.identity.tags.of(policy.id)))
        return values

    return conditions


def about_new(*given: ReadsConditions) -> FindsConditions:
    """What the request brings for the one to be created."""

    async def conditions(_call: IamCall, request: Any) -> Conditions:
        return _all_of(given, request)

    return conditions


def _all_of(given: Sequence[ReadsConditions], request: Any) -> dict[str, str | tuple[str, ...]]:
    values: dict[str, str | tuple[str, ...]] = {}
    for read in given:
        values.update(read(request))
    return values
