"""The organization: get it, set it, remove it, and its history."""

from collections.abc import Sequence

import msgspec
from starlette.responses import JSONResponse, Response

from moorage.api.admin.operation import Call, position_of
from moorage.api.authorization import Target
from moorage.identity.accounts.organizations import OrganizationVersion


class PutRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The document is sent as text, so that it is stored as its author wrote it."""

    document: str


class HistoryRequest(msgspec.Struct, forbid_unknown_fields=True):
    after: str = ""
    """`next` of the previous page."""


async def the_organization(call: Call, _request: object) -> Sequence[Target]:
    return (await call.services.organization.resource(),)


async def show(call: Call, _request: None) -> Response:
    return JSONResponse(_told(await call.services.organization.show()))


async def history(call: Call, request: HistoryRequest) -> Response:
    """Return a page of the documents, newest first. Unless `next` is null, it is `after` of the next page."""
    found, following = await call.services.organization.history(position_of(request.after))
    return JSONResponse(
        {"documents": [_told(each) for each in found], "next": None if following is None else str(following)}
    )


async def put(call: Call, request: PutRequest) -> Response:
    await call.services.organization.put(request.document, by=call.by)
    return JSONResponse({"text": "the organization applies from the next request on"})


async def delete(call: Call, _request: None) -> Response:
    await call.services.organization.delete(by=call.by)
    return JSONResponse({"text": "the organization is removed"})


def _told(kept: OrganizationVersion) -> dict[str, object]:
    return {"document": kept.document, "at": kept.at, "by": kept.by}
