"""GET /v2/_catalog: the repositories of the registry that the caller may see."""

import msgspec

from moorage.api.asgi import Headers
from moorage.api.oci import pages
from moorage.api.oci.request import OciRequest


class Catalog(msgspec.Struct):
    repositories: list[str]


async def get(request: OciRequest) -> None:
    """Return the names in ASCII order. A caller who may see none and may not describe the registry is refused."""
    services = request.services
    page = pages.asked(request)
    location = services.locations.of_host(request.connection.host)
    # A page with `n=0` is refused to the same callers as one with entries.
    limit = max(page.limit, 1)
    found = await services.registry.repositories.visible_names(
        location.account, location.region, request.authorizer, after=page.after, limit=limit
    )
    headers: Headers = [(b"content-type", b"application/json")]
    if page.limit > 0 and found.following is not None:
        headers += pages.link(request, request.url("/v2/_catalog"), page, found.following)
    await request.answer(200, headers, msgspec.json.encode(Catalog(found.names[: page.limit])))
