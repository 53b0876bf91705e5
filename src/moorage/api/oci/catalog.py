"""GET /v2/_catalog: the repositories of the host's registry that the caller may see."""

import msgspec

from moorage.api.asgi import Headers
from moorage.api.oci import pages
from moorage.api.oci.exchange import Exchange


class Catalog(msgspec.Struct):
    repositories: list[str]


async def get(exchange: Exchange) -> None:
    """Names in ASCII order. A caller who may see none and may not describe the registry is refused."""
    services = exchange.services
    page = pages.asked(exchange)
    location = services.locations.of_host(exchange.connection.host)
    # A page without entries is refused to the same callers as one with entries.
    limit = max(page.limit, 1)
    found = await services.registry.repositories.visible_names(
        location.account, location.region, exchange.authorizer, after=page.after, limit=limit
    )
    headers: Headers = [(b"content-type", b"application/json")]
    if page.limit > 0 and found.following is not None:
        headers += pages.link(exchange, exchange.url("/v2/_catalog"), page, found.following)
    await exchange.answer(200, headers, msgspec.json.encode(Catalog(found.names[: page.limit])))
