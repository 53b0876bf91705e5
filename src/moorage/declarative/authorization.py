"""Authorization of plans: every step is decided before the first is carried out, by the policies then in force."""

from typing import Final, NamedTuple

import msgspec

from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.operations import may_call_iam
from moorage.access.resources import NamedResource, Resource
from moorage.declarative.steps import Author, Plan, PlannedChange, Step
from moorage.declarative.time_slices import TimeSlices
from moorage.errors import AccessDenied

MOST_REFUSALS: Final = 100
"""How many refusals a dry run lists. Each is in the audit record."""


class RefusedStep(NamedTuple):
    """A step that the author may not carry out."""

    planned: PlannedChange
    step: Step
    error: AccessDenied

    @property
    def where(self) -> str:
        """The entity and its aspect, for messages."""
        return self.planned.where(self.step)


class PlanAuthorizer:
    """Decides each step as the API decides its operation: same action, resources, condition keys and policies."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def refusals(self, plan: Plan, author: Author, *, most: int) -> list[RefusedStep]:
        """Return the first `most` steps that the author may not carry out. The operator may carry out all."""
        if author.call is None:
            return []
        found: list[RefusedStep] = []
        slices = TimeSlices()
        for planned in plan.everything:
            for step in planned.steps:
                try:
                    await self._require(step, *author.call)
                except AccessDenied as error:
                    found.append(RefusedStep(planned, step, error))
                    if len(found) >= most:
                        return found
                await slices.pause()
        return found

    async def _require(self, step: Step, caller: Caller, connection: Connection) -> None:
        if step.action.startswith("iam:") and not may_call_iam(caller):
            raise AccessDenied("IAM takes no calls of sessions from GetSessionToken, nor of federated users.")
        for resource in step.resources:
            at = _region_of(connection, resource)
            await self._access.require(caller, at, step.action, resource, extra=step.conditions)


def _region_of(connection: Connection, resource: Resource) -> Connection:
    """Return the connection of a call to the region of the resource (`aws:RequestedRegion`)."""
    if isinstance(resource, NamedResource) or resource.region == connection.region:
        return connection
    return msgspec.structs.replace(connection, region=resource.region)
