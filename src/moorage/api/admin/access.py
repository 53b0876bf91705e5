"""Who can reach a repository, and what somebody can reach."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from moorage.access.reach import READ_ACCESS, Version
from moorage.api.admin.service import AdminServices, names
from moorage.api.admin.trail import is_read
from moorage.errors import InvalidParameter
from moorage.names import account_id


class AccessRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Of a repository, or of a principal (ARN); `given`: condition keys fixed for the question."""

    repository: str | None = None
    principal: str | None = None
    account: str | None = None
    version: Version = Version()
    before: Version | None = None
    given: dict[str, str] = {}


def routes(services: AdminServices) -> list[Route]:
    async def access(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        asked = signed.decoded(AccessRequest)
        if (asked.repository is None) is (asked.principal is None):
            raise InvalidParameter("name a repository or a principal")
        if asked.principal is not None:
            with names():
                account = signed.account if asked.account is None else account_id(asked.account)
            answer = await services.reach.of_principal(
                signed.caller, signed.connection, asked.principal, account, signed.region, asked.given
            )
        else:
            ref = await services.permitted(signed, READ_ACCESS, asked.repository or "", asked.account)
            answer = await services.reach.of_repository(
                signed.caller, signed.connection, ref, asked.version, asked.before, asked.given
            )
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return [Route("/_moorage/access", access, methods=["POST"])]
