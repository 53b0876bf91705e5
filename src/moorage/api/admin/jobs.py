"""Background jobs: list, show, cancel and retry them. They belong to the deployment as a whole."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from starlette.responses import Response

from moorage.api.admin.operation import Call, json_response, position_of
from moorage.api.authorization import Target
from moorage.jobs.job import MAX_PAGE, State

_MAX_ID = (1 << 63) - 1


class ListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which jobs to list, the newest first."""

    kind: str | None = None
    """Only jobs of this kind."""
    states: Annotated[list[State], msgspec.Meta(max_length=16)] = []
    """Only jobs in one of these states; in any if there is none."""
    after: str = ""
    """`next` of the previous page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100


class JobRequest(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[int, msgspec.Meta(ge=1, le=_MAX_ID)]


async def the_deployment(call: Call, _request: object) -> Sequence[Target]:
    return (await call.services.organization.deployment(),)


async def list_jobs(call: Call, request: ListRequest) -> Response:
    """Return a page. Unless `next` is null, it is `after` of the next page."""
    page = await call.services.jobs.page(
        kind=request.kind, states=request.states, before=position_of(request.after), limit=request.limit
    )
    return json_response(page)


async def show_job(call: Call, request: JobRequest) -> Response:
    return json_response(await call.services.jobs.find(request.id))


async def cancel_job(call: Call, request: JobRequest) -> Response:
    return json_response(await call.services.jobs.cancel(request.id))


async def retry_job(call: Call, request: JobRequest) -> Response:
    return json_response(await call.services.jobs.retry(request.id))
