"""Create on push: a push to a repository that is not there makes it, when the setting and the caller's rights allow."""

from moorage.api.oci.errors import NameInvalid
from moorage.api.oci.exchange import Exchange


async def create_on_push(exchange: Exchange) -> None:
    """Make the exchange's repository unless it is there; AccessDenied without ecr:CreateRepository.

    Called once the push itself is allowed and its parameters are read, so that a refused push leaves no repository.
    """
    services, ref = exchange.services, exchange.ref
    if services.settings.creates_on_push and services.locations.is_path_form(ref.name):  # it reads as another's name
        raise NameInvalid(ref.name)
    await services.registry.repositories.create_if_absent(ref, exchange.authorizer, by=exchange.by)
