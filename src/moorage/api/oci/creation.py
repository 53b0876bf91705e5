"""Create on push: a push to a repository that is not there makes it, when the setting and the caller's rights allow."""

from contextlib import suppress

from moorage.api.oci.errors import NameInvalid
from moorage.api.oci.exchange import Exchange
from moorage.errors import RepositoryAlreadyExists


async def create_on_push(exchange: Exchange) -> None:
    """Make the exchange's repository unless it is there; AccessDenied without ecr:CreateRepository.

    Called once the push itself is allowed and its parameters are read, so that a refused push leaves no repository.
    """
    services = exchange.services
    if not services.settings.creates_on_push:
        return
    repositories = services.registry.repositories
    state = await repositories.state(exchange.ref)
    if state is not None:
        return
    if services.locations.is_path_form(exchange.ref.name):
        raise NameInvalid(exchange.ref.name)
    await exchange.require("ecr:CreateRepository")
    # Two first pushes at once: whoever came second finds what it needs.
    with suppress(RepositoryAlreadyExists):
        await repositories.create(exchange.ref, by=exchange.by)
