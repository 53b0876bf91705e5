"""Blob uploads: begin, append, resume, finish, cancel; in one request or in many."""

import re
from collections.abc import AsyncIterator

from moorage.api.asgi import Headers, Message, Receive, stream_body
from moorage.api.oci import ranges
from moorage.api.oci.creation import create_on_push
from moorage.api.oci.errors import ChunkInvalid
from moorage.api.oci.exchange import Exchange, parse_digest
from moorage.errors import UploadNotFound
from moorage.names import Digest, InvalidNameError
from moorage.registry.layers.uploads import Upload

_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


async def begin(exchange: Exchange) -> None:
    """POST /v2/<name>/blobs/uploads/, with `mount` (and `from`), or with `digest` and the whole blob, or plain."""
    if exchange.route.argument:
        raise UploadNotFound(exchange.ref, exchange.route.argument)
    query = exchange.query
    if is_whole(exchange):
        await _put_at_once(exchange, parse_digest(query["digest"]))
        return
    mount = parse_digest(query["mount"]) if "mount" in query else None
    await create_on_push(exchange)
    if mount is not None and await _mounted(exchange, mount, query.get("from")):
        await _answer_stored(exchange, mount)
        return
    upload = await exchange.services.registry.uploads.begin(exchange.ref, exchange.by)
    await _answer_upload(exchange, 202, upload)


def is_whole(exchange: Exchange) -> bool:
    """Whether a POST brings a whole blob, rather than begin an upload or ask for a mount."""
    return "digest" in exchange.query and "mount" not in exchange.query


async def _mounted(exchange: Exchange, digest: Digest, text: str | None) -> bool:
    """Was the blob mounted, from the repository that `from` names in any form, or else from any that holds it?

    If not, for whatever reason, the client has to upload it.
    """
    services, source = exchange.services, None
    if text is not None:
        try:
            source = services.locations.source(exchange.connection.host, text)
        except InvalidNameError:
            return False
    layers = services.registry.layers
    layer = await layers.mount(exchange.ref, digest, exchange.authorizer, source=source)
    return layer is not None


async def _put_at_once(exchange: Exchange, digest: Digest) -> None:
    length = exchange.length
    await create_on_push(exchange)
    body = stream_body(exchange.receive, length)
    await exchange.services.registry.uploads.put(exchange.ref, digest, body, length=length, by=exchange.by)
    await _answer_stored(exchange, digest)


async def append(exchange: Exchange) -> None:
    """PATCH: a chunk with Content-Range, which must begin where the upload ends, or a stream without."""
    upload_id = _upload_id(exchange)
    span = ranges.chunk(exchange.headers.get(b"content-range"))
    length = _chunk_length(exchange, span)
    upload = await exchange.services.registry.uploads.append(
        exchange.ref,
        upload_id,
        stream_body(exchange.receive, length),
        start=span.start if span is not None else None,
        length=length,
    )
    # ECR says 201 here, against the specification; its clients know both (docs/development/ecr-behavior.md §9.5).
    await _answer_upload(exchange, 201 if exchange.services.aws else 202, upload)


async def finish(exchange: Exchange) -> None:
    """PUT ?digest=: the upload, with a last chunk if there is a body, becomes a blob of the repository."""
    upload_id = _upload_id(exchange)
    digest = parse_digest(exchange.query.get("digest", ""))
    span = ranges.chunk(exchange.headers.get(b"content-range"))
    length = _chunk_length(exchange, span)
    uploads = exchange.services.registry.uploads
    body = await _body_if_any(exchange.receive, length) if exchange.has_body else None
    if body is not None:
        start = span.start if span is not None else None
        await uploads.append(exchange.ref, upload_id, body, start=start, length=length)
    await uploads.finish(exchange.ref, upload_id, digest, by=exchange.by, door="oci")
    await _answer_stored(exchange, digest)


async def status(exchange: Exchange) -> None:
    """GET: how far the upload is, so that a client can go on there."""
    upload_id = _upload_id(exchange)
    await _answer_upload(exchange, 204, await exchange.services.registry.uploads.status(exchange.ref, upload_id))


async def cancel(exchange: Exchange) -> None:
    """DELETE: forget the upload and what arrived of it."""
    upload_id = _upload_id(exchange)
    await exchange.services.registry.uploads.cancel(exchange.ref, upload_id)
    await exchange.answer(204, [])


def _upload_id(exchange: Exchange) -> str:
    text = exchange.route.argument
    if _ID.fullmatch(text) is None:
        raise UploadNotFound(exchange.ref, text)
    return text


def _chunk_length(exchange: Exchange, span: ranges.Span | None) -> int | None:
    """Bytes that the body must have: by Content-Length, by Content-Range, and the same by both; None: a stream."""
    length = exchange.length
    if span is None:
        return length
    if length is not None and length != span.end - span.start:
        raise ChunkInvalid("Content-Range and Content-Length disagree")
    return span.end - span.start


async def _body_if_any(receive: Receive, length: int | None) -> AsyncIterator[bytes] | None:
    """The body; None when the request has none. A client that announces no length is asked by its first bytes."""
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


async def _answer_upload(exchange: Exchange, status_code: int, upload: Upload) -> None:
    headers: Headers = [
        (b"location", exchange.path("blobs", "uploads", upload.id).encode()),
        (b"docker-upload-uuid", upload.id.encode()),
        (b"range", b"0-%d" % max(upload.size - 1, 0)),
    ]
    await exchange.answer(status_code, headers)


async def _answer_stored(exchange: Exchange, digest: Digest) -> None:
    headers: Headers = [
        (b"location", exchange.path("blobs", digest).encode()),
        (b"docker-content-digest", digest.encode()),
    ]
    await exchange.answer(201, headers)
