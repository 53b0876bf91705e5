"""Which policies could be changed to let a denied request through, and which cannot be."""

import re
from typing import Final

import msgspec

from moorage.policy.engine.decision import SetName
from moorage.policy.engine.request import Named, Request
from moorage.policy.language.kind import Kind

_AWS_MANAGED: Final = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/.*")
_AWS_GUARD_RAIL: Final = re.compile(r"(?:RCP)?FullAWSAccess(?: .*)?")
"""The service and resource control policies of AWS; a name may be followed by the level it is attached to."""
_INLINE: Final = re.compile(r"[\w+=,.@-]+")
"""The name of an inline policy. A managed policy is called by its ARN, a group's is followed by the group."""
_WITH_REGISTRY: Final = frozenset({"ecr", "moorage"})


class Changeable(msgspec.Struct, frozen=True):
    """What may be changed. The default is right for a request on a repository that exists."""

    resource: tuple[Kind, ...] = (Kind.REPOSITORY, Kind.REGISTRY)
    """Kinds of resource policies that count for the request and can be set; a new statement goes into the first one."""
    own: bool = True
    """Whether the caller's identity policies and boundary can be changed; those of a service-linked role cannot."""

    def is_fixed(self, name: SetName, named: Named) -> bool:
        """Return whether nobody here can change the policy `named`, which is one of the set `name`."""
        if name == "resource":
            return named.document.kind not in self.resource
        if name in {"identity", "boundary"} and not self.own:
            return True
        pattern = _AWS_GUARD_RAIL if name in {"scp", "rcp"} else _AWS_MANAGED
        return pattern.fullmatch(named.name) is not None


def is_inline(named: Named) -> bool:
    """Return whether an identity policy is the caller's own inline policy, so that no other caller has it."""
    return _INLINE.fullmatch(named.name) is not None


def resource_policies(request: Request) -> tuple[Kind, ...]:
    """Return the kinds of resource policies (beside a role's trust policy) that there can be for the request.

    The policy of the repository comes first. A repository that is yet to be created, all repositories of a registry,
    and ECR's actions without a resource are subject to the registry's policy alone; other services have neither.
    """
    service, _, name = request.action.lower().partition(":")
    if service not in _WITH_REGISTRY:
        return ()
    _, is_repository, repository = request.resource.partition(":repository/")
    if is_repository:
        is_one = name != "createrepository" and "*" not in repository
        return (Kind.REPOSITORY, Kind.REGISTRY) if is_one else (Kind.REGISTRY,)
    return (Kind.REGISTRY,) if service == "ecr" else ()
