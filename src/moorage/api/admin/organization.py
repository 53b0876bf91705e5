"""The organization: get it, set it, remove it, and its history."""

from collections.abc import Sequence

import msgspec
from starlette.responses import JSONResponse, Response

from moorage.api.admin.operation import Call
from moorage.api.authorization import Target
from moorage.errors import InvalidParameter
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
    if request.after and not (request.after.isascii() and request.after.isdigit() and len(request.after) < 19):
        raise InvalidParameter("after: not what an earlier answer called next")
    found, following = await call.services.organization.history(int(request.after) if request.after else None)
    return JSONResponse(
        {"documents": [_told(each) for each in found], "next": None if following is None else str(following)}
    )


async def put(call: Call, request: PutRequest) -> Response:
    await call.services.organization.put(request.document, by=call.by)
    return JSONResponse({"text": "the organization is in force from the next request on"})


async def delete(call: Call, _request: None) -> Response:
    await call.services.organization.delete(by=call.by)
    return JSONResponse({"text": "there is no organization any more"})


def _told(kept: OrganizationVersion) -> dict[str, object]:
    return {"document": kept.document, "at": kept.at, "by": kept.by}
