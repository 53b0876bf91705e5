"""Who can reach a repository, and what somebody can reach."""

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from moorage.access.authorize import NamedResource
from moorage.analysis.reachability import READ_ACCESS, Version, access_arn
from moorage.api.admin.operation import ADMIN, Call, account_of, names
from moorage.api.authorization import Target
from moorage.errors import InvalidParameter
from moorage.names import RepositoryRef, repository_name


class AccessRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Of a repository, or of a principal (ARN); `given`: condition keys fixed for the question."""

    repository: str | None = None
    principal: str | None = None
    account: str | None = None
    version: Version = Version()
    before: Version | None = None
    given: dict[str, str] = {}
    after: str = ""
    """`next` of the page before."""


def _asked_about(call: Call, request: AccessRequest) -> Sequence[Target]:
    """The repository, and the one it is compared with; of a principal, the access of the whole account."""
    if (request.repository is None) is (request.principal is None):
        raise InvalidParameter("name a repository or a principal")
    if request.principal is not None:
        account = account_of(call, request.account)
        return (NamedResource(account, access_arn(account)),)
    other = _other(call, request)
    return (_ref(call, request), *(() if other is None else (other,)))


@ADMIN.operation(
    "/_moorage/access",
    action=READ_ACCESS,
    resource=_asked_about,
    read_only=True,
    continues=lambda request: bool(request.after),
)
async def access(call: Call, request: AccessRequest) -> Response:
    reach = call.services.reach
    if request.principal is not None:
        account = account_of(call, request.account)
        answer = await reach.of_principal(request.principal, account, call.region, request.given, request.after)
    else:
        before, other = request.before, _other(call, request)
        past = None if before is None else (other or _ref(call, request), before)
        answer = await reach.of_repository(_ref(call, request), request.version, past, request.given, request.after)
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _ref(call: Call, request: AccessRequest) -> RepositoryRef:
    account = account_of(call, request.account)
    with names():
        return RepositoryRef(account, call.region, repository_name(request.repository or ""))


def _other(call: Call, request: AccessRequest) -> RepositoryRef | None:
    """The repository whose policy the comparison is with, if that is another one."""
    if request.before is None or request.before.repository is None:
        return None
    with names():
        return _ref(call, request)._replace(name=repository_name(request.before.repository))
