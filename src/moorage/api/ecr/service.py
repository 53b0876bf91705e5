"""The ECR service: what its operations may use, and the resources they are decided on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from moorage.access.authenticate import Authenticator
from moorage.access.download import Downloads
from moorage.access.registry_policy import RegistryPolicyCheck
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.access.resources import RegistryResource, Resource
from moorage.api.aws.operation import Call
from moorage.clock import Clock
from moorage.errors import InvalidParameter
from moorage.locations import Locations
from moorage.names import AccountId, InvalidNameError, RepositoryName, RepositoryRef, parse_repository_arn
from moorage.registry.registry import Registry
from moorage.sealing import Sealer
from moorage.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrServices:
    """Everything an ECR operation may use, as `call.services`."""

    registry: Registry
    authenticator: Authenticator
    policy_check: RepositoryPolicyCheck
    registry_policy_check: RegistryPolicyCheck
    downloads: Downloads
    locations: Locations
    settings: Settings
    clock: Clock
    sealer: Sealer


EcrCall: TypeAlias = Call[EcrServices]


class NamesRepository(Protocol):
    """A request that names one repository."""

    @property
    def registry_id(self) -> str | None: ...

    @property
    def repository_name(self) -> str: ...


class NamesArn(Protocol):
    """A request that names a repository by its ARN."""

    @property
    def resource_arn(self) -> str: ...


def ref_of(call: EcrCall, request: NamesRepository) -> RepositoryRef:
    """Return the repository that a request names. The model has checked the form of the name and the registry id."""
    return RepositoryRef(
        AccountId(request.registry_id or call.account), call.region, RepositoryName(request.repository_name)
    )


def ref_of_arn(request: NamesArn) -> RepositoryRef:
    """Return the repository that `resourceArn` names. Raise InvalidParameter."""
    try:
        return parse_repository_arn(request.resource_arn)
    except InvalidNameError:
        raise InvalidParameter.at("resourceArn", "Invalid ARN") from None


def by(call: EcrCall) -> str:
    """Return the ARN of the caller, for events and history."""
    return call.caller.principal.arn


# Functions for `resource=` of an operation's declaration: what its actions are decided on.


def the_repository(call: EcrCall, request: NamesRepository) -> Sequence[Resource]:
    return (ref_of(call, request),)


def the_arn(call: EcrCall, request: NamesArn) -> Sequence[Resource]:
    ref = ref_of_arn(request)
    if ref.region != call.region:
        raise InvalidParameter.at("resourceArn", "Invalid ARN")
    return (ref,)


def no_resource(call: EcrCall, _request: Any) -> Sequence[Resource]:
    """Return the resource of `*` actions: the caller's own registry, whatever the request names
    (docs/development/policy-engine.md §4.1)."""
    return (RegistryResource(call.account, call.region, all_repositories=False),)
