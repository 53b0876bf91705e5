"""The Resource Groups Tagging API: what its operations may use, its page tokens, and its errors.

Its actions (`tag:…`) have no resource. TagResources and UntagResources are also decided on each repository.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from moorage.access.authorize import Access
from moorage.access.resources import NamedResource, Resource
from moorage.api.aws.operation import Call
from moorage.api.aws.page_tokens import ExpiredPageTokenError, InvalidPageTokenError, PageTokens
from moorage.clock import Clock
from moorage.errors import InvalidParameter, MoorageError
from moorage.registry.registry import Registry
from moorage.sealing import Sealer

NAME: Final = "tagging"
"""The service's name in the scope of a signature."""
_TOKEN_SECONDS: Final = 15 * 60
"""Lifetime of a PaginationToken, as AWS documents it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingServices:
    """Everything an operation may use, as `call.services`."""

    registry: Registry
    access: Access
    sealer: Sealer
    clock: Clock


TaggingCall: TypeAlias = Call[TaggingServices]


class PaginationTokenExpired(MoorageError):
    """A PaginationToken is older than 15 minutes."""

    code = "PaginationTokenExpiredException"

    def __init__(self) -> None:
        super().__init__("The PaginationToken has expired. Send the request again without one.")


def no_resource(call: TaggingCall, _request: Any) -> Sequence[Resource]:
    """`*`: for `resource=` of an operation's declaration."""
    return (NamedResource(call.account, "*"),)


def next_token(call: TaggingCall, bound: Sequence[str], after: str | None) -> str:
    """Return the token that continues after `after`; empty if there is no further page.

    `bound`: the operation and the parameters that must be the same in the next request.
    """
    return "" if after is None else _tokens(call).seal(_purpose(call, bound), after)


def after_token(call: TaggingCall, bound: Sequence[str], token: str | None) -> str:
    """Return where the page that `token` asks for begins; empty for the first page.

    Raises InvalidParameter, PaginationTokenExpired.
    """
    if not token:
        return ""
    try:
        return _tokens(call).open(_purpose(call, bound), token)
    except ExpiredPageTokenError:
        raise PaginationTokenExpired from None
    except InvalidPageTokenError:
        raise InvalidParameter("The PaginationToken is not valid for this request.") from None


def _tokens(call: TaggingCall) -> PageTokens:
    return PageTokens(call.services.sealer, call.services.clock, _TOKEN_SECONDS)


def _purpose(call: TaggingCall, bound: Sequence[str]) -> Sequence[str]:
    return (NAME, call.account, call.region, *bound)
