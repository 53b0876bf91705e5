"""What is asked, and the policies it is asked of."""

from collections.abc import Sequence

import msgspec

from moorage.policy.language.document import Document
from moorage.policy.matching.principal import Principal
from moorage.policy.matching.variables import Context


class Request(msgspec.Struct, frozen=True, gc=False):
    """One action by one principal on one resource. One HTTP call may need several."""

    principal: Principal
    action: str
    """`service:Name` in AWS's spelling; compared without regard to case."""
    resource: str
    """An ARN, or `*` for an action without a resource type."""
    resource_account: str
    """12 digits: who owns the resource. The caller's own account for `*`."""
    context: Context
    """Condition keys in lower case; a tuple for multivalued keys."""


class Named(msgspec.Struct, frozen=True, gc=False):
    """A policy with the name people know it by and the hash its text is kept under."""

    name: str
    hash: str
    document: Document


class Policies(msgspec.Struct, frozen=True, gc=False):
    """The policy sets that apply to a request. None: no such set is attached; empty: attached, but says nothing."""

    identity: Sequence[Named] | None = None
    """Of the user (with its groups) or role."""
    resource: Sequence[Named] | None = None
    """The repository policy, and the registry policy's where it applies."""
    trust: Sequence[Named] | None = None
    """Of a role that is to be taken on: its trust policy, without which nobody may (docs/development/policy-engine.md
    §8.2)."""
    boundary: Sequence[Named] | None = None
    session: Sequence[Named] | None = None
    """The session's inline policy and policy ARNs: one set."""
    scp: Sequence[Sequence[Named]] | None = None
    """Service control policies of the caller's account, one sequence a level (root, units, account)."""
    rcp: Sequence[Sequence[Named]] | None = None
    """Resource control policies of the resource's account, one sequence a level."""

    def documents(self) -> tuple[Document, ...]:
        """Every document that is attached, once."""
        sets = (self.identity, self.resource, self.trust, self.boundary, self.session)
        levels = (*(self.scp or ()), *(self.rcp or ()))
        return tuple({id(named.document): named.document for some in (*sets, *levels) for named in some or ()}.values())
