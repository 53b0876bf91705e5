"""The audit record of an account, a page at a time."""

from collections.abc import Sequence

from starlette.responses import Response

from moorage.access.resources import NamedResource
from moorage.api.admin.operation import Call, account_of, json_response
from moorage.api.authorization import Target
from moorage.audit.reader import EventQuery, audit_arn


def the_record(call: Call, request: EventQuery) -> Sequence[Target]:
    account = account_of(call, request.account)
    return (NamedResource(account, audit_arn(account)),)


async def audit(call: Call, request: EventQuery) -> Response:
    answer = await call.services.audit_reader.read(account_of(call, request.account), request)
    return json_response(answer)
