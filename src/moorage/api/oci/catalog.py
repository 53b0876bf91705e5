"""GET /v2/_catalog: the repositories of the host's registry that the caller may see."""

import msgspec

from moorage.access.authorize import Registry
from moorage.api.asgi import Headers
from moorage.api.oci import pages
from moorage.api.oci.exchange import Exchange
from moorage.names import RepositoryName, RepositoryRef

ACTION = "ecr:DescribeRepositories"
MOST_LOOKED_AT = 1001
"""Names decided on for one answer; when fewer are visible than asked for, the answer is short and has a Link."""


class Catalog(msgspec.Struct):
    repositories: list[str]


async def get(exchange: Exchange) -> None:
    """Names in ASCII order. A caller that sees none, and may not describe the registry, is told that it may not.

    Profile `aws`: describing all of the registry's repositories must be allowed in any case.
    """
    services = exchange.services
    page = pages.asked(exchange)
    location = services.locations.of_host(exchange.connection.host)
    everything = Registry(location.account, location.region, all_repositories=True)
    if services.aws:
        await services.access.require(exchange.caller, exchange.connection, ACTION, everything)
    visible: list[str] = []
    after, looked_at, more = page.after, 0, page.limit > 0
    while more and len(visible) < page.limit and looked_at < MOST_LOOKED_AT:
        batch = min(page.limit + 1, MOST_LOOKED_AT)
        names = await services.registry.repositories.names(location.account, location.region, after=after, limit=batch)
        more = len(names) == batch
        for name in names:
            if len(visible) == page.limit:
                more = True
                break
            after, looked_at = name, looked_at + 1
            ref = RepositoryRef(location.account, location.region, RepositoryName(name))
            if await exchange.allows(ACTION, ref):
                visible.append(name)
    if not visible and not more and page.limit > 0 and not page.after:
        await services.access.require(exchange.caller, exchange.connection, ACTION, everything)
    headers: Headers = [(b"content-type", b"application/json")]
    if more:
        headers += pages.link(exchange, exchange.url("/v2/_catalog"), page, after)
    await exchange.answer(200, headers, msgspec.json.encode(Catalog(visible)))
