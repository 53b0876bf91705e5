"""Blob uploads: begin, append, resume, finish and cancel, in one request or in many."""

import re
from collections.abc import AsyncIterator

from moorage.api.asgi import Headers, Message, Receive, stream_body
from moorage.api.oci import ranges
from moorage.api.oci.creation import create_on_push
from moorage.api.oci.errors import ChunkInvalid
from moorage.api.oci.request import OciRequest, parse_digest
from moorage.errors import UploadNotFound
from moorage.names import Digest, InvalidNameError
from moorage.registry.layers.uploads import Upload

_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


async def begin(request: OciRequest) -> None:
    """POST /v2/<name>/blobs/uploads/, with `mount` (and `from`), with `digest` and the whole blob, or plain."""
    if request.route.argument:
        raise UploadNotFound(request.ref, request.route.argument)
    query = request.query
    if is_whole(request):
        await _put_at_once(request, parse_digest(query["digest"]))
        return
    mount = parse_digest(query["mount"]) if "mount" in query else None
    await create_on_push(request)
    if mount is not None and await _mounted(request, mount, query.get("from")):
        await _answer_stored(request, mount)
        return
    upload = await request.services.registry.uploads.begin(request.ref, request.by)
    await _answer_upload(request, 202, upload)


def is_whole(request: OciRequest) -> bool:
    """Return whether a POST contains a whole blob, and neither begins an upload nor asks for a mount."""
    return "digest" in request.query and "mount" not in request.query


async def _mounted(request: OciRequest, digest: Digest, text: str | None) -> bool:
    """Mount the blob, from the repository that `from` names in any form, or else from any that has it. Return whether
    it worked.

    If it did not, for whatever reason, the client has to upload the blob.
    """
    services, source = request.services, None
    if text is not None:
        try:
            source = services.locations.source(request.connection.host, text)
        except InvalidNameError:
            return False
    layers = services.registry.layers
    layer = await layers.mount(request.ref, digest, request.authorizer, by=request.by, source=source)
    return layer is not None


async def _put_at_once(request: OciRequest, digest: Digest) -> None:
    length = request.length
    await create_on_push(request)
    body = stream_body(request.receive, length)
    await request.services.registry.uploads.put(request.ref, digest, body, length=length, by=request.by)
    await _answer_stored(request, digest)


async def append(request: OciRequest) -> None:
    """PATCH: append a chunk with Content-Range, which must begin where the upload ends, or a stream without."""
    upload_id = _upload_id(request)
    span = ranges.chunk(request.headers.get(b"content-range"))
    length = _chunk_length(request, span)
    upload = await request.services.registry.uploads.append(
        request.ref,
        upload_id,
        stream_body(request.receive, length),
        start=span.start if span is not None else None,
        length=length,
    )
    # ECR responds 201 here, against the specification; its clients accept both (docs/development/ecr-behavior.md §9.5).
    await _answer_upload(request, 201 if request.services.aws else 202, upload)


async def finish(request: OciRequest) -> None:
    """PUT ?digest=: complete the upload, with a last chunk if there is a body. It becomes a blob of the repository."""
    upload_id = _upload_id(request)
    digest = parse_digest(request.query.get("digest", ""))
    span = ranges.chunk(request.headers.get(b"content-range"))
    length = _chunk_length(request, span)
    uploads = request.services.registry.uploads
    body = await _body_if_any(request.receive, length) if request.has_body else None
    if body is not None:
        start = span.start if span is not None else None
        await uploads.append(request.ref, upload_id, body, start=start, length=length)
    await uploads.finish(request.ref, upload_id, digest, by=request.by, api="oci")
    await _answer_stored(request, digest)


async def status(request: OciRequest) -> None:
    """GET: return how many bytes the upload has, so that the client can resume there."""
    upload_id = _upload_id(request)
    await _answer_upload(request, 204, await request.services.registry.uploads.status(request.ref, upload_id))


async def cancel(request: OciRequest) -> None:
    """DELETE: cancel the upload and discard its bytes."""
    upload_id = _upload_id(request)
    await request.services.registry.uploads.cancel(request.ref, upload_id)
    await request.answer(204, [])


def _upload_id(request: OciRequest) -> str:
    text = request.route.argument
    if _ID.fullmatch(text) is None:
        raise UploadNotFound(request.ref, text)
    return text


def _chunk_length(request: OciRequest, span: ranges.Span | None) -> int | None:
    """Return the bytes that the body must have, by Content-Length and Content-Range, which must agree; None for a
    stream."""
    length = request.length
    if span is None:
        return length
    if length is not None and length != span.end - span.start:
        raise ChunkInvalid("Content-Range and Content-Length disagree")
    return span.end - span.start


async def _body_if_any(receive: Receive, length: int | None) -> AsyncIterator[bytes] | None:
    """Return the body; None if the request has none. If a client announces no length, its first bytes tell."""
    if length is not None:
        return stream_body(receive, length) if length > 0 else None
    first: Message | None = None
    while first is None or (first["type"] == "http.request" and not first.get("body")):
        if first is not None and not first.get("more_body"):
            return None
        first = await receive()

    async def from_first() -> Message:
        nonlocal first
        if first is None:
            return await receive()
        message, first = first, None
        return message

    return stream_body(from_first, None)


async def _answer_upload(request: OciRequest, status_code: int, upload: Upload) -> None:
    headers: Headers = [
        (b"location", request.path("blobs", "uploads", upload.id).encode()),
        (b"docker-upload-uuid", upload.id.encode()),
        (b"range", b"0-%d" % max(upload.size - 1, 0)),
    ]
    await request.answer(status_code, headers)


async def _answer_stored(request: OciRequest, digest: Digest) -> None:
    headers: Headers = [
        (b"location", request.path("blobs", digest).encode()),
        (b"docker-content-digest", digest.encode()),
    ]
    await request.answer(201, headers)
