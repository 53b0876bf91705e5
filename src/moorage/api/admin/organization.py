"""The organisation: shown, set, removed, and its history."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.access.organization import MOST_TEXT
from moorage.api.admin.service import AdminServices
from moorage.api.admin.trail import is_read
from moorage.identity.organizations import Kept


class PutRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The document is sent as a text, so that it is kept as its author wrote it."""

    document: str


def routes(services: AdminServices) -> list[Route]:
    desk = services.organization

    async def show(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        return JSONResponse(_told(await desk.show(signed.caller, signed.connection)))

    async def history(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        kept = await desk.history(signed.caller, signed.connection)
        return JSONResponse({"documents": [_told(each) for each in kept]})

    async def put(request: Request) -> Response:
        signed = await services.signed(request, limit=2 * MOST_TEXT)
        asked = signed.decoded(PutRequest)
        await desk.put(signed.caller, signed.connection, asked.document)
        return JSONResponse({"text": "the organization is in force from the next request on"})

    async def delete(request: Request) -> Response:
        signed = await services.signed(request)
        await desk.delete(signed.caller, signed.connection)
        return JSONResponse({"text": "there is no organization any more"})

    return [
        Route("/_moorage/organization/show", show, methods=["POST"]),
        Route("/_moorage/organization/history", history, methods=["POST"]),
        Route("/_moorage/organization/put", put, methods=["POST"]),
        Route("/_moorage/organization/delete", delete, methods=["POST"]),
    ]


def _told(kept: Kept) -> dict[str, object]:
    return {"document": kept.document, "at": kept.at, "by": kept.by}
