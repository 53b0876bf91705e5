"""Pages of listings: `n`, `last` and the Link header, as the specification has them and as ECR has them."""

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
    """Up to `limit` entries that follow the name `after`."""

    limit: int
    after: str


def asked(request: OciRequest) -> Page:
    """Return the page that the query asks for.

    Profile `oci`: `last` is an entry, and a page has at most 1000. Profile `aws`: a page has 100 unless `n` says
    otherwise, `n` over 1000 is refused, and `last` is a token issued by this server (docs/development/ecr-behavior.md
    §9.4).
    """
    number = request.query.get("n")
    last = request.query.get("last", "")
    if number is not None and not (number.isascii() and number.isdigit() and len(number) < 10):
        raise PageInvalid("Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must be a number'")
    if "\0" in last:  # no name contains a NUL, and no database stores one
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
    """Return the Link header to the page after the entry `last`. `path` is the URL of the listing."""
    token = base64.urlsafe_b64encode(last.encode()).decode() if request.services.aws else last
    return [(b"link", f'<{path}?{urlencode({"last": token, "n": page.limit})}>; rel="next"'.encode())]


def _opened(token: str) -> str:
    """Return the token for an entry. It is not sealed: it contains a name that the client just got, and a forged token
    gives no more than `last` in profile `oci` does."""
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise PageInvalid(
            "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid next token'"
        ) from error
