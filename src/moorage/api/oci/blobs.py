"""Blobs: HEAD, GET (whole, ranges, conditional, by download URL), delete."""

import contextlib

from moorage.api.asgi import Headers
from moorage.api.oci import ranges
from moorage.api.oci.errors import Unsupported
from moorage.api.oci.request import VERSION, OciRequest, names_etag, parse_digest
from moorage.registry.layers.types import Layer


async def head(request: OciRequest) -> None:
    """HEAD /v2/<name>/blobs/<digest>."""
    digest = parse_digest(request.route.argument)
    layer = await request.services.registry.layers.present(request.ref, digest)
    await request.answer_head(200, _headers(layer, layer.size))


async def get(request: OciRequest) -> None:
    """GET /v2/<name>/blobs/<digest>, also with the token of a download URL."""
    digest = parse_digest(request.route.argument)
    layers = request.services.registry.layers
    layer = await (layers.download if request.services.aws else layers.stat)(request.ref, digest)
    if names_etag(request.headers, b"if-none-match", layer.digest):
        await request.answer_head(304, [(b"etag", b'"%s"' % layer.digest.encode()), VERSION])
        return
    url = await layers.url_for(layer)
    if url is not None:
        await request.answer(307, [(b"location", url.encode()), (b"docker-content-digest", layer.digest.encode())])
        return
    await layers.require_bytes(request.ref, layer)
    request.services.registry.verification.sent(layer)
    span = None
    if b"if-range" not in request.headers or names_etag(request.headers, b"if-range", layer.digest):
        span = ranges.wanted(request.headers.get(b"range"), layer.size)
    if span is None:
        await _send_whole(request, layer)
    else:
        content_range = b"bytes %d-%d/%d" % (span.start, span.end - 1, layer.size)
        headers = _headers(layer, span.end - span.start)
        headers.append((b"content-range", content_range))
        await _send_part(request, layer, 206, headers, span)


async def _send_whole(request: OciRequest, layer: Layer) -> None:
    headers = _headers(layer, layer.size)
    if "http.response.pathsend" in request.scope.get("extensions", {}):
        path = request.services.registry.layers.local_path(layer)
        if path is not None:
            send = await request.begin(200, headers)
            await send({"type": "http.response.pathsend", "path": str(path)})
            return
    await _send_part(request, layer, 200, headers, ranges.Span(0, layer.size))


async def _send_part(request: OciRequest, layer: Layer, status: int, headers: Headers, span: ranges.Span) -> None:
    send = await request.begin(status, headers)
    async with contextlib.aclosing(request.services.streams.pieces(layer, span)) as pieces:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _headers(layer: Layer, length: int) -> Headers:
    return [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % length),
        (b"docker-content-digest", layer.digest.encode()),
        (b"etag", b'"%s"' % layer.digest.encode()),
        (b"accept-ranges", b"bytes"),
        VERSION,
    ]


async def delete(request: OciRequest) -> None:
    """DELETE /v2/<name>/blobs/<digest>. ECR has no such operation."""
    digest = parse_digest(request.route.argument)
    if request.services.aws:
        raise Unsupported("GET, HEAD")
    await request.services.registry.layers.delete(request.ref, digest, request.by)
    await request.answer(202, [])
