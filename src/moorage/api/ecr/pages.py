"""Page tokens: sealed, good only for the operation and parameters they were given for, and only for a while."""

from collections.abc import Sequence

import msgspec

from moorage.api.ecr.service import EcrCall
from moorage.errors import InvalidParameter
from moorage.sealing import SealBrokenError

DEFAULT_PAGE = 100


class _Content(msgspec.Struct, frozen=True, array_like=True):
    after: str
    expires_at: float


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Content)


def next_token(call: EcrCall, operation: str, bound: Sequence[str], after: str | None) -> str | None:
    """The token that continues after `after`; None when there is nothing more.

    `bound` are the parameters that must be the same in the next request.
    """
    if after is None:
        return None
    services = call.services
    content = _Content(after, services.clock.now() + services.settings.page_token_seconds)
    return services.sealer.seal(_purpose(call, operation, bound), _encoder.encode(content))


def after_token(call: EcrCall, operation: str, bound: Sequence[str], token: str | None) -> str:
    """Where the page that `token` asks for begins; the first page ("") without a token.

    InvalidParameter when the token is not one of ours, is for something else, or is too old.
    """
    if token is None:
        return ""
    try:
        content = _decoder.decode(call.services.sealer.open(_purpose(call, operation, bound), token))
    except (SealBrokenError, msgspec.MsgspecError):
        raise InvalidParameter.at("nextToken", "Invalid next token") from None
    if content.expires_at <= call.services.clock.now():
        raise InvalidParameter.at("nextToken", "Invalid next token")
    return content.after


def _purpose(call: EcrCall, operation: str, bound: Sequence[str]) -> str:
    return "\n".join(("page", operation, call.account, call.region, *bound))
