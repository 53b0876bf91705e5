"""`n`, `last` and Link of listings, in the specification's way and in ECR's."""

import base64
import binascii
from typing import NamedTuple
from urllib.parse import urlencode

from moorage.api.asgi import Headers
from moorage.api.oci.errors import PageInvalid
from moorage.api.oci.request import OciRequest

MOST = 1000
ECR_DEFAULT = 100


class Page(NamedTuple):
    """Up to `limit` entries after the name `after`."""

    limit: int
    after: str


def asked(request: OciRequest) -> Page:
    """The page that the query asks for.

    Profile `oci`: `last` is an entry, and more than 1000 are given in several pages. Profile `aws`: 100 unless said,
    `n` over 1000 is refused, and `last` is a token of ours (docs/development/ecr-behavior.md §9.4).
    """
    number = request.query.get("n")
    last = request.query.get("last", "")
    if number is not None and not (number.isascii() and number.isdigit() and len(number) < 10):
        raise PageInvalid("Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must be a number'")
    if "\0" in last:  # no name holds one, and no database takes it
        raise PageInvalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid next token'")
    if not request.services.aws:
        return Page(MOST if number is None else min(int(number), MOST), last)
    limit = ECR_DEFAULT if number is None else int(number)
    if limit > MOST or limit < 1:
        bound = "less than or equal to 1000" if limit > MOST else "greater than or equal to 1"
        raise PageInvalid(
            f"Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value {bound}'"
        )
    return Page(limit, _opened(last))


def link(request: OciRequest, path: str, page: Page, last: str) -> Headers:
    """The Link header to the page after the entry `last`; `path` is the listing's own URL."""
    token = base64.urlsafe_b64encode(last.encode()).decode() if request.services.aws else last
    return [(b"link", f'<{path}?{urlencode({"last": token, "n": page.limit})}>; rel="next"'.encode())]


def _opened(token: str) -> str:
    """The entry in a token of ours. It is not sealed: it holds a name the client was just given, and whoever makes one
    up gets no more than `last` gives in profile `oci`.
    """
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise PageInvalid(
            "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid next token'"
        ) from error
