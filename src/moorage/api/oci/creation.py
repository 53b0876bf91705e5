"""Create on push: a push to a repository that does not exist creates it, if the settings and the caller's permissions
allow."""

from moorage.api.oci.errors import NameInvalid
from moorage.api.oci.request import OciRequest


async def create_on_push(request: OciRequest) -> None:
    """Create the repository of the request unless it exists. Raise AccessDenied without ecr:CreateRepository.

    Handlers call it once the push itself is allowed and its parameters are valid, so that a refused push creates no
    repository.
    """
    services, ref = request.services, request.ref
    if services.settings.creates_on_push and services.locations.is_path_form(
        ref.name
    ):  # it would be read as another registry's
        raise NameInvalid(ref.name)
    await services.registry.repositories.create_if_absent(ref, request.authorizer, by=request.by)
