"""InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload (docs/development/ecr-behavior.md §5)."""

from moorage.api.aws.operation import MIB
from moorage.api.ecr import shapes
from moorage.api.ecr.service import EcrCall, by, ref_of
from moorage.errors import InvalidParameter
from moorage.names import InvalidNameError, digest

PART_SIZE = 10 * MIB
"""Recommended bytes of a part, as InitiateLayerUpload returns it."""
PART_BODY_LIMIT = 20 * MIB * 4 // 3 + (64 << 10)
"""The longest part in base64, and the other members."""


async def initiate_layer_upload(
    call: EcrCall, request: shapes.InitiateLayerUploadRequest
) -> shapes.InitiateLayerUploadResponse:
    upload = await call.services.registry.uploads.begin(ref_of(call, request), by(call))
    return shapes.InitiateLayerUploadResponse(upload_id=upload.id, part_size=PART_SIZE)


async def upload_layer_part(call: EcrCall, request: shapes.UploadLayerPartRequest) -> shapes.UploadLayerPartResponse:
    ref = ref_of(call, request)
    await call.services.registry.uploads.part(
        ref, request.upload_id, request.part_first_byte, request.part_last_byte, request.layer_part_blob
    )
    return shapes.UploadLayerPartResponse(
        registry_id=ref.account,
        repository_name=ref.name,
        upload_id=request.upload_id,
        last_byte_received=request.part_last_byte,
    )


async def complete_layer_upload(
    call: EcrCall, request: shapes.CompleteLayerUploadRequest
) -> shapes.CompleteLayerUploadResponse:
    ref = ref_of(call, request)
    if len(request.layer_digests) > 1:
        raise InvalidParameter.at("layerDigests", "Member must have length less than or equal to 1")
    try:
        layer_digest = digest(request.layer_digests[0])
    except InvalidNameError:
        raise InvalidParameter.at("layerDigests", "Member must be a sha256 or sha512 digest") from None
    layer = await call.services.registry.uploads.finish(ref, request.upload_id, layer_digest, by=by(call), api="ecr")
    return shapes.CompleteLayerUploadResponse(
        registry_id=ref.account,
        repository_name=ref.name,
        upload_id=request.upload_id,
        layer_digest=layer.digest,
    )
