"""A request, and the policies that decide it."""

from collections.abc import Sequence

import msgspec

from moorage.policy.language.document import Document
from moorage.policy.matching.principal import Principal
from moorage.policy.matching.variables import Context


class Request(msgspec.Struct, frozen=True, gc=False):
    """One action by one principal on one resource. One HTTP request may need several."""

    principal: Principal
    action: str
    """`service:Name` in AWS's spelling; compared without regard to case."""
    resource: str
    """An ARN, or `*` for an action without a resource type."""
    resource_account: str
    """12 digits: the owner of the resource. For `*`, the caller's own account."""
    context: Context
    """Condition keys in lower case; a tuple for multivalued keys."""


class Named(msgspec.Struct, frozen=True, gc=False):
    """A policy with the name that people know it by and the hash of its text."""

    name: str
    hash: str
    document: Document


class Policies(msgspec.Struct, frozen=True, gc=False):
    """The policy sets that apply to a request. None: no such set is attached; empty: one without statements."""

    identity: Sequence[Named] | None = None
    """The identity policies of the user (with its groups) or role."""
    resource: Sequence[Named] | None = None
    """The repository policy, and the registry policy where it applies."""
    trust: Sequence[Named] | None = None
    """For a role to be assumed: its trust policy, which must allow it (docs/development/policy-engine.md §8.2)."""
    boundary: Sequence[Named] | None = None
    session: Sequence[Named] | None = None
    """The inline session policy and the policies passed by ARN: one set."""
    scp: Sequence[Sequence[Named]] | None = None
    """The service control policies of the caller's account, one sequence for each level (root, units, account)."""
    rcp: Sequence[Sequence[Named]] | None = None
    """The resource control policies of the resource's account, one sequence for each level."""

    def documents(self) -> tuple[Document, ...]:
        """Return every attached document once."""
        sets = (self.identity, self.resource, self.trust, self.boundary, self.session)
        levels = (*(self.scp or ()), *(self.rcp or ()))
        return tuple({id(named.document): named.document for some in (*sets, *levels) for named in some or ()}.values())
