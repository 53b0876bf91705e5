"""The page tokens of ECR: those of `api.aws`, with ECR's errors."""

from collections.abc import Sequence

from moorage.api.aws.page_tokens import InvalidPageTokenError, PageTokens
from moorage.api.ecr.service import EcrCall
from moorage.errors import InvalidParameter

DEFAULT_PAGE = 100


def next_token(call: EcrCall, operation: str, bound: Sequence[str], after: str | None) -> str | None:
    """Return the token that continues after `after`; None if there is no next page.

    `bound`: the parameters that must be the same in the next request.
    """
    return None if after is None else _tokens(call).seal(_purpose(call, operation, bound), after)


def after_token(call: EcrCall, operation: str, bound: Sequence[str], token: str | None) -> str:
    """Return where the page that `token` asks for begins; "" (the first page) without a token.

    Raises InvalidParameter if the token was not issued by this server, was issued for something else, or is too old.
    """
    if token is None:
        return ""
    try:
        return _tokens(call).open(_purpose(call, operation, bound), token)
    except InvalidPageTokenError:
        raise InvalidParameter.at("nextToken", "Invalid next token") from None


def _tokens(call: EcrCall) -> PageTokens:
    services = call.services
    return PageTokens(services.sealer, services.clock, services.settings.page_token_seconds)


def _purpose(call: EcrCall, operation: str, bound: Sequence[str]) -> Sequence[str]:
    return (operation, call.account, call.region, *bound)
