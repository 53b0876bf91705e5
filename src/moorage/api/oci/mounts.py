"""Cross-repository mounts: a blob that another repository of the registry holds, without sending it again."""

from moorage.api.oci.exchange import Exchange
from moorage.names import Digest, InvalidNameError, RepositoryRef

MOST_SOURCES = 10
"""Repositories looked at for a mount without `from`: each costs a decision."""


async def mounted(exchange: Exchange, digest: Digest, source: str | None) -> bool:
    """Was the blob mounted? False: nothing was, for whatever reason, and the client has to upload it.

    The caller must be allowed ecr:GetDownloadUrlForLayer on the repository it comes from; whether another repository
    holds a blob is told to nobody else.
    """
    layers = exchange.services.registry.layers
    for ref in await _sources(exchange, digest, source):
        if (ref.account, ref.region) != (exchange.ref.account, exchange.ref.region):
            continue
        if not await exchange.allows("ecr:GetDownloadUrlForLayer", ref):
            continue
        if await layers.mount(exchange.ref, digest, ref, exchange.by) is not None:
            return True
    return False


async def _sources(exchange: Exchange, digest: Digest, source: str | None) -> list[RepositoryRef]:
    """The repository named by `from`, in any form; without it, some that hold the blob."""
    services = exchange.services
    if source is None:
        return await services.registry.layers.sources(exchange.ref, digest, MOST_SOURCES)
    try:
        return [services.locations.source(exchange.connection.host, source)]
    except InvalidNameError:
        return []
