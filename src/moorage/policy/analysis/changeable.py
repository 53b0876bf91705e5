"""Which policies can be changed to allow a denied request, and which cannot."""

import re
from typing import Final

import msgspec

from moorage.policy.engine.decision import SetName
from moorage.policy.engine.request import Named, Request
from moorage.policy.language.kind import Kind

_AWS_MANAGED: Final = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/.*")
_AWS_GUARDRAIL: Final = re.compile(r"(?:RCP)?FullAWSAccess(?: .*)?")
"""AWS's service and resource control policies. The name may be followed by the level that one is attached to."""
_INLINE: Final = re.compile(r"[\w+=,.@-]+")
"""The name of an inline policy. Managed policies are named by ARN; names of a group's policies include the group."""
_WITH_REGISTRY: Final = frozenset({"ecr", "moorage"})


class Changeable(msgspec.Struct, frozen=True):
    """What can be changed. The default applies to requests for an existing repository."""

    resource: tuple[Kind, ...] = (Kind.REPOSITORY, Kind.REGISTRY)
    """Kinds of resource policies that apply and can be set. A new statement is added to one of the first kind."""
    own: bool = True
    """Whether the caller's identity policies and boundary can be changed. Those of a service-linked role cannot."""

    def is_fixed(self, name: SetName, named: Named) -> bool:
        """Return whether the policy `named` of the set `name` cannot be changed."""
        if name == "resource":
            return named.document.kind not in self.resource
        if name in {"identity", "boundary"} and not self.own:
            return True
        pattern = _AWS_GUARDRAIL if name in {"scp", "rcp"} else _AWS_MANAGED
        return pattern.fullmatch(named.name) is not None


def is_inline(named: Named) -> bool:
    """Return whether an identity policy is an inline policy of the caller, so that no other caller has it."""
    return _INLINE.fullmatch(named.name) is not None


def resource_policies(request: Request) -> tuple[Kind, ...]:
    """Return the kinds of resource policies (besides a role's trust policy) that can apply to the request.

    The policy of the repository comes first. Only the registry's policy applies to a repository that is yet to be
    created, to all repositories of a registry, and to ECR's actions without a resource. Other services have neither.
    """
    service, _, name = request.action.lower().partition(":")
    if service not in _WITH_REGISTRY:
        return ()
    _, is_repository, repository = request.resource.partition(":repository/")
    if is_repository:
        is_one = name != "createrepository" and "*" not in repository
        return (Kind.REPOSITORY, Kind.REGISTRY) if is_one else (Kind.REGISTRY,)
    return (Kind.REGISTRY,) if service == "ecr" else ()
