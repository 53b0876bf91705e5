"""The kinds of policy, and what the statements of each kind must, may and must not contain.

See docs/development/policy-engine.md §1.1, §2.1.
"""

from enum import Enum
from typing import NamedTuple


class Needs(Enum):
    """Whether an element must be present."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    FORBIDDEN = "forbidden"


class Scope(Enum):
    """Which actions may be named."""

    REPOSITORY = "actions on an ECR repository"
    REGISTRY = "actions of ECR"
    ANY = "actions of any service"


class Rules(NamedTuple):
    """What a kind requires of its statements."""

    principal: Needs
    resource: Needs
    scope: Scope
    federated: bool = False
    """Whether `Federated` principals may be named."""
    canonical_users: bool = False
    """Whether `CanonicalUser` principals (of S3) may be named. They match no caller here."""
    everyone_only: bool = False
    """Whether the Principal can only be `*`."""
    plain_sids: bool = False
    """Whether a Sid is `[A-Za-z0-9]*` and unique (IAM), or any text (ECR)."""
    granted_service: str | None = None
    """The service that the wildcards and the NotAction of an Allow refer to; None: every service.

    An action of another service is then allowed only by an entry that names that service. A Deny is not narrowed: its
    wildcards refer to every service.
    """


_ATTACHED = Rules(Needs.FORBIDDEN, Needs.REQUIRED, Scope.ANY, plain_sids=True)


class Kind(Enum):
    """What a document is attached to."""

    REPOSITORY = "repository"
    REGISTRY = "registry"
    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"
    SCP = "scp"
    RCP = "rcp"
    TRUST = "trust"
    RESOURCE = "resource"
    """A policy of a resource of any service, such as a bucket. Only the simulator and lint read it."""

    @property
    def rules(self) -> Rules:
        return _RULES.get(self, _ATTACHED)


_RULES = {
    Kind.REPOSITORY: Rules(Needs.REQUIRED, Needs.FORBIDDEN, Scope.REPOSITORY, granted_service="ecr"),
    Kind.REGISTRY: Rules(Needs.REQUIRED, Needs.REQUIRED, Scope.REGISTRY, granted_service="ecr"),
    Kind.RCP: Rules(Needs.REQUIRED, Needs.REQUIRED, Scope.ANY, everyone_only=True, plain_sids=True),
    Kind.RESOURCE: Rules(Needs.REQUIRED, Needs.OPTIONAL, Scope.ANY, federated=True, canonical_users=True),
    Kind.TRUST: Rules(Needs.REQUIRED, Needs.FORBIDDEN, Scope.ANY, federated=True, plain_sids=True),
}
