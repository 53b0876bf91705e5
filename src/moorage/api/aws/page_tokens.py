"""Page tokens: sealed, and valid only for the operation and parameters they were issued for, for a limited time."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from moorage.clock import Clock
from moorage.sealing import SealBrokenError, Sealer


class InvalidPageTokenError(Exception):
    """The token was not issued by this server, or was issued for something else."""


class ExpiredPageTokenError(InvalidPageTokenError):
    """The token is too old."""


class _Content(msgspec.Struct, frozen=True, array_like=True):
    after: str
    expires_at: float


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Content)


class PageTokens(NamedTuple):
    """Issues and reads tokens that are valid for `seconds`."""

    sealer: Sealer
    clock: Clock
    seconds: float

    def seal(self, purpose: Sequence[str], after: str) -> str:
        """Return the token that continues after the position `after`.

        `purpose`: the operation, the account of its caller, and the parameters that must be the same in the next
        request.
        """
        content = _Content(after, self.clock.now() + self.seconds)
        return self.sealer.seal(_joined(purpose), _encoder.encode(content))

    def open(self, purpose: Sequence[str], token: str) -> str:
        """Return the position that `token` was issued for. Raise InvalidPageTokenError or ExpiredPageTokenError."""
        try:
            content = _decoder.decode(self.sealer.open(_joined(purpose), token))
        except (SealBrokenError, msgspec.MsgspecError):
            raise InvalidPageTokenError from None
        if content.expires_at <= self.clock.now():
            raise ExpiredPageTokenError
        return content.after


def _joined(purpose: Sequence[str]) -> str:
    return "\n".join(("page", *purpose))
