"""PutImage, BatchGetImage, BatchDeleteImage (docs/development/ecr-behavior.md §6)."""

from collections.abc import Sequence

from moorage.api.aws.operation import MIB
from moorage.api.ecr import shapes
from moorage.api.ecr.service import EcrCall, by, ref_of
from moorage.errors import InvalidParameter
from moorage.names import InvalidNameError, RepositoryRef, Tag, tag
from moorage.registry.images.types import ImageFailure, ImageId, Manifest

IMAGE_BODY_LIMIT = 4 * MIB * 2 + (64 << 10)
"""The longest manifest, with room for JSON escapes and the other members."""


async def put_image(call: EcrCall, request: shapes.PutImageRequest) -> shapes.PutImageResponse:
    ref = ref_of(call, request)
    put = await call.services.registry.images.put(
        ref,
        request.image_manifest.encode(),
        media_type=request.image_manifest_media_type,
        tags=() if request.image_tag is None else (checked_tag(request.image_tag),),
        digest=request.image_digest,
        by=by(call),
        api="ecr",
    )
    return shapes.PutImageResponse(image=_image(ref, put.manifest, request.image_tag))


async def batch_get_image(call: EcrCall, request: shapes.BatchGetImageRequest) -> shapes.BatchGetImageResponse:
    """Return manifests as they are stored: converting one to an accepted media type would change its digest."""
    ref = ref_of(call, request)
    images = call.services.registry.images
    manifests, failures = await images.batch_get(ref, image_ids(request.image_ids))
    for manifest in manifests:
        images.record_pull(manifest.id)
    return shapes.BatchGetImageResponse(
        images=[_image(ref, each, each.tag) for each in manifests],
        failures=[_failure(each) for each in failures],
    )


async def batch_delete_image(call: EcrCall, request: shapes.BatchDeleteImageRequest) -> shapes.BatchDeleteImageResponse:
    deleted, failures = await call.services.registry.images.batch_delete(
        ref_of(call, request), image_ids(request.image_ids), by=by(call), api="ecr"
    )
    return shapes.BatchDeleteImageResponse(
        image_ids=[shapes.ImageIdentifier(image_digest=each.digest, image_tag=each.tag) for each in deleted],
        failures=[_failure(each) for each in failures],
    )


def checked_tag(text: str) -> Tag:
    """Return a tag for a new image. Raise InvalidParameter if it is not valid."""
    try:
        return tag(text)
    except InvalidNameError:
        raise InvalidParameter.at("imageTag", "must satisfy regular expression '[a-zA-Z0-9-_.]+'") from None


def image_ids(identifiers: Sequence[shapes.ImageIdentifier]) -> list[ImageId]:
    """Return the identifiers for the registry, which reports each malformed one as a failure."""
    return [ImageId(each.image_digest, each.image_tag) for each in identifiers]


def _image(ref: RepositoryRef, manifest: Manifest, image_tag: str | None) -> shapes.Image:
    return shapes.Image(
        registry_id=ref.account,
        repository_name=ref.name,
        image_id=shapes.ImageIdentifier(image_digest=manifest.digest, image_tag=image_tag),
        image_manifest=manifest.body.decode(),
        image_manifest_media_type=manifest.media_type,
    )


def _failure(failure: ImageFailure) -> shapes.ImageFailure:
    return shapes.ImageFailure(
        image_id=shapes.ImageIdentifier(image_digest=failure.id.digest, image_tag=failure.id.tag),
        failure_code=failure.code,
        failure_reason=failure.reason,
    )
