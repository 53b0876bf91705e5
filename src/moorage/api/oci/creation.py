"""Create on push: a push to a repository that is not there makes it, when the setting and the caller's rights allow."""

from moorage.api.oci.errors import NameInvalid
from moorage.api.oci.request import OciRequest


async def create_on_push(request: OciRequest) -> None:
    """Make the exchange's repository unless it is there; AccessDenied without ecr:CreateRepository.

    Called once the push itself is allowed and its parameters are read, so that a refused push leaves no repository.
    """
    services, ref = request.services, request.ref
    if services.settings.creates_on_push and services.locations.is_path_form(ref.name):  # it reads as another's name
        raise NameInvalid(ref.name)
    await services.registry.repositories.create_if_absent(ref, request.authorizer, by=request.by)
