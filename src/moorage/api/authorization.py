"""What an operation declares about authorization, and how that is decided before the operation runs.

An operation declares the actions that its caller must be allowed and the resources they are decided on. An operation
that needs no permission declares an `Exempt` marker. An operation that declares nothing cannot be registered, and a
request for which the declaration is empty is not served.
"""

import enum
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.resources import NamedResource, Resource


class Exempt(enum.Enum):
    """Why an operation declares no action. The value explains it."""

    AUTHENTICATED = "every caller whose credentials are good may call it"
    UNAUTHENTICATED = "everybody who reaches the server may call it"
    BY_STATE = "what it returns is decided item by item, by a rule that is handed the caller"


AUTHENTICATED = Exempt.AUTHENTICATED
UNAUTHENTICATED = Exempt.UNAUTHENTICATED
BY_STATE = Exempt.BY_STATE


class UndecidedError(RuntimeError):
    """An operation was about to run before anything was decided. It is logged, and the client gets ServerFault."""


class Concealed(NamedTuple):
    """A resource whose ARN would reveal that it exists, or who owns it.

    A caller who may not use it is denied on `asked`: the ARN on which a request for a missing resource is decided.
    """

    asked: NamedResource
    found: NamedResource


Target: TypeAlias = Resource | Concealed
"""What an action is decided on."""

Values: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""Condition keys that an operation adds, in lower case."""

NO_VALUES: Values = {}


def check_declared(name: str, actions: object, resource: object, *exemptions: Exempt) -> None:
    """Raise ValueError unless the operation declares actions and their resource, or one of the allowed `exemptions`."""
    if isinstance(actions, Exempt):
        if actions not in exemptions:
            raise ValueError(f"{name}: {actions} is no exemption of this door")
        if resource is not None:
            raise ValueError(f"{name} is exempt and has no resource")
    elif not actions:
        raise ValueError(f"{name} declares no action")
    elif resource is None:
        raise ValueError(f"{name} declares no resource")


async def decide(
    access: Access,
    caller: Caller,
    connection: Connection,
    actions: Sequence[str],
    targets: Sequence[Target],
    *,
    values: Values = NO_VALUES,
    decision_id: str | None = None,
) -> None:
    """Return if the caller may do every action on every target.

    Raises AccessDenied otherwise, and UndecidedError if there is no action or no target. `decision_id`: the id under
    which a denial is recorded; given only for one action on one target.
    """
    if not actions or not targets:
        raise UndecidedError("the request has come out with no action or no resource to decide on")
    for action, target in itertools.product(actions, targets):
        resource = target
        if isinstance(resource, Concealed):
            asked, resource = resource
            if not await access.sees(caller, connection, action, resource, extra=values):
                await access.require(caller, connection, action, asked, extra=values, decision_id=decision_id)
        await access.require(caller, connection, action, resource, extra=values, decision_id=decision_id)
