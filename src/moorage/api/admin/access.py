"""Who can reach a repository, and what a principal can reach."""

from collections.abc import Sequence

from starlette.responses import Response

from moorage.access.resources import NamedResource
from moorage.analysis.access_report import AccessRequest
from moorage.analysis.reachability import access_arn
from moorage.api.admin.operation import Call, account_of, json_response, names
from moorage.api.authorization import Target
from moorage.errors import InvalidParameter
from moorage.names import RepositoryRef, repository_name


def the_subject(call: Call, request: AccessRequest) -> Sequence[Target]:
    """Return the repository and the one it is compared with; for a principal, the access to the whole account."""
    if (request.repository is None) is (request.principal is None):
        raise InvalidParameter("name a repository or a principal")
    if request.principal is not None:
        account = account_of(call, request.account)
        return (NamedResource(account, access_arn(account)),)
    other = _other(call, request)
    return (_ref(call, request), *(() if other is None else (other,)))


async def access(call: Call, request: AccessRequest) -> Response:
    reachability = call.services.reachability
    if request.principal is not None:
        account = account_of(call, request.account)
        answer = await reachability.of_principal(request.principal, account, call.region, request.given, request.after)
    else:
        before, other = request.before, _other(call, request)
        past = None if before is None else (other or _ref(call, request), before)
        answer = await reachability.of_repository(
            _ref(call, request), request.version, past, request.given, request.after
        )
    return json_response(answer)


def _ref(call: Call, request: AccessRequest) -> RepositoryRef:
    account = account_of(call, request.account)
    with names():
        return RepositoryRef(account, call.region, repository_name(request.repository or ""))


def _other(call: Call, request: AccessRequest) -> RepositoryRef | None:
    """Return the repository whose policy is compared with, if it is another one."""
    if request.before is None or request.before.repository is None:
        return None
    with names():
        return _ref(call, request)._replace(name=repository_name(request.before.repository))
