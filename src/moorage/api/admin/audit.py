"""The audit record of an account, a page at a time."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from moorage.access.events import Query
from moorage.api.admin.service import AdminServices, names
from moorage.api.admin.trail import is_continuation, is_read
from moorage.names import account_id


def routes(services: AdminServices) -> list[Route]:
    async def audit(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        query = signed.decoded(Query) if signed.body else Query()
        if query.after is not None:
            is_continuation(request)
        with names():
            account = signed.account if query.account is None else account_id(query.account)
        answer = await services.events.read(signed.caller, signed.connection, account, query)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return [Route("/_moorage/audit", audit, methods=["POST"])]
