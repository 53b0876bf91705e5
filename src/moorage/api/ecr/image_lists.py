"""ListImages and DescribeImages (docs/development/ecr-behavior.md §6)."""

from moorage.api.ecr import shapes
from moorage.api.ecr.images import image_ids
from moorage.api.ecr.pages import DEFAULT_PAGE, after_token, next_token
from moorage.api.ecr.service import EcrCall, ref_of
from moorage.errors import InvalidParameter
from moorage.registry.images.types import Image

_NEVER_HELD = frozenset({"ARCHIVED", "ACTIVATING"})
"""Statuses that no image can have yet."""


async def list_images(call: EcrCall, request: shapes.ListImagesRequest) -> shapes.ListImagesResponse:
    ref = ref_of(call, request)
    tag_status, image_status = _filter(request.filter)
    bound = (ref.account, ref.name, tag_status, image_status)
    after = after_token(call, "ListImages", bound, request.next_token)
    if image_status in _NEVER_HELD:
        await call.services.registry.repositories.get(ref)
        return shapes.ListImagesResponse(image_ids=[])
    page, more = await call.services.registry.images.page_ids(
        ref, tag_status=tag_status, after=after, limit=request.max_results or DEFAULT_PAGE
    )
    return shapes.ListImagesResponse(
        image_ids=[shapes.ImageIdentifier(image_digest=each.digest, image_tag=each.tag) for each in page],
        next_token=next_token(call, "ListImages", bound, more),
    )


async def describe_images(call: EcrCall, request: shapes.DescribeImagesRequest) -> shapes.DescribeImagesResponse:
    ref = ref_of(call, request)
    images = call.services.registry.images
    if request.image_ids:
        for member, value in (
            ("nextToken", request.next_token),
            ("maxResults", request.max_results),
            ("filter", request.filter),
        ):
            if value is not None:
                raise InvalidParameter.at(member, f"{member} cannot be used with imageIds")
        described = await images.describe(ref, image_ids(request.image_ids))
        return shapes.DescribeImagesResponse(image_details=[_image_detail(each) for each in described])
    tag_status, image_status = _filter(request.filter)
    bound = (ref.account, ref.name, tag_status, image_status)
    after = after_token(call, "DescribeImages", bound, request.next_token)
    if image_status in _NEVER_HELD:
        await call.services.registry.repositories.get(ref)
        return shapes.DescribeImagesResponse(image_details=[])
    page, more = await images.page(ref, tag_status=tag_status, after=after, limit=request.max_results or DEFAULT_PAGE)
    return shapes.DescribeImagesResponse(
        image_details=[_image_detail(each) for each in page], next_token=next_token(call, "DescribeImages", bound, more)
    )


def _filter(given: shapes.ListImagesFilter | shapes.DescribeImagesFilter | None) -> tuple[str, str]:
    """Return the requested tag status and image status. The defaults are any tag status, and active images."""
    if given is None:
        return "ANY", "ACTIVE"
    return given.tag_status or "ANY", given.image_status or "ACTIVE"


def _image_detail(image: Image) -> shapes.ImageDetail:
    return shapes.ImageDetail(
        registry_id=image.ref.account,
        repository_name=image.ref.name,
        image_digest=image.digest,
        image_tags=list(image.tags) or None,
        image_size_in_bytes=image.size,
        image_pushed_at=image.pushed_at,
        image_manifest_media_type=image.media_type,
        artifact_media_type=image.artifact_type,
        last_recorded_pull_time=image.last_pulled_at,
        subject_manifest_digest=image.subject,
        image_status="ACTIVE",
    )
