"""BatchCheckLayerAvailability and GetDownloadUrlForLayer (docs/development/ecr-behavior.md §5)."""

from moorage.api.ecr import shapes
from moorage.api.ecr.service import EcrCall, ref_of
from moorage.errors import LayersNotFound
from moorage.names import InvalidNameError, digest


async def batch_check_layer_availability(
    call: EcrCall, request: shapes.BatchCheckLayerAvailabilityRequest
) -> shapes.BatchCheckLayerAvailabilityResponse:
    layers, failures = await call.services.registry.layers.availability(ref_of(call, request), request.layer_digests)
    return shapes.BatchCheckLayerAvailabilityResponse(
        layers=[
            shapes.Layer(
                layer_digest=each.digest,
                layer_availability="AVAILABLE" if each.available else "UNAVAILABLE",
                layer_size=each.size,
                media_type=each.media_type,
            )
            for each in layers
        ],
        failures=[
            shapes.LayerFailure(layer_digest=each.digest, failure_code=each.code, failure_reason=each.reason)
            for each in failures
        ],
    )


async def get_download_url_for_layer(
    call: EcrCall, request: shapes.GetDownloadUrlForLayerRequest
) -> shapes.GetDownloadUrlForLayerResponse:
    ref = ref_of(call, request)
    try:
        layer_digest = digest(request.layer_digest)
    except InvalidNameError:
        raise LayersNotFound.one(ref, request.layer_digest) from None
    services = call.services
    layer = await services.registry.layers.download(ref, layer_digest)
    token = services.downloads.seal(call.caller, ref, layer.digest)
    base, path = services.locations.base_url(call.scheme, call.host), services.locations.data_path(ref, call.host)
    return shapes.GetDownloadUrlForLayerResponse(
        download_url=f"{base}/v2/{path}/blobs/{layer.digest}?token={token}", layer_digest=layer.digest
    )
