"""Manifests: pull (the hottest path), push and delete."""

from functools import lru_cache
from typing import Final

from moorage.api.asgi import Headers
from moorage.api.oci import recorded_request
from moorage.api.oci.creation import create_on_push
from moorage.api.oci.errors import ManifestBlobUnknown, TagInvalid, TooManyTags
from moorage.api.oci.request import VERSION, OciRequest, names_etag, parse_digest
from moorage.cache import measured
from moorage.errors import (
    ImageNotFound,
    ImageReferencedByManifestList,
    InvalidParameter,
    LayersNotFound,
    MoorageError,
)
from moorage.names import Digest, InvalidNameError, Tag, tag
from moorage.registry.images.types import ImageFailure, ImageId

MOST_TAGS: Final = 50
"""Tags that one push by digest may set. The specification requires at least 10; proxies have room for about this many
in the headers of a response."""


async def get(request: OciRequest) -> None:
    """GET and HEAD /v2/<name>/manifests/<reference>: return the bytes as they were pushed."""
    reference = request.route.argument
    if ":" in reference:
        parse_digest(reference)
    if ":" not in reference:
        _readable_tag(request, reference)
    images = request.services.registry.images
    manifest = await images.find(request.ref, reference)
    headers = _headers(manifest.digest, manifest.media_type, len(manifest.body))
    if b"if-none-match" in request.headers and names_etag(request.headers, b"if-none-match", manifest.digest):
        await request.answer_head(304, [header for header in headers if not header[0].startswith(b"content-")])
    elif request.head:
        await request.answer_head(200, headers)
    else:
        images.record_pull(manifest.id)
        send = await request.begin(200, headers)
        await send({"type": "http.response.body", "body": manifest.body})


def _readable_tag(request: OciRequest, text: str) -> None:
    """Refuse a reference that cannot be a tag: as not found (oci), or as ECR's invalid parameter (aws)."""
    try:
        tag(text)
    except InvalidNameError as error:
        raise (TagInvalid(text) if request.services.aws else ImageNotFound.requested()) from error


@lru_cache(maxsize=8192)
def _headers(of: Digest, media_type: str, length: int) -> Headers:
    """Return the headers of an image. They are cached for each image; callers must not change the list."""
    return [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % length),
        (b"docker-content-digest", of.encode()),
        (b"etag", b'"%s"' % of.encode()),
        VERSION,
    ]


measured("manifest_headers", _headers, 1_500)


async def put(request: OciRequest) -> None:
    """PUT /v2/<name>/manifests/<reference>, with `?tag=` for each further tag if the reference is a digest."""
    as_tag, as_digest = _written_reference(request.route.argument)
    further = () if as_digest is None else _tag_parameters(request)
    tags = further if as_tag is None else (as_tag,)
    request.pushed_tags = further
    body = await request.body()
    await create_on_push(request)
    # Parameters after the media type say nothing about the manifest (specification: SHOULD ignore).
    media_type = request.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip() or None
    try:
        put = await request.services.registry.images.put(
            request.ref, body, media_type=media_type, tags=tags, digest=as_digest, by=request.by, api="oci"
        )
    except LayersNotFound as error:
        raise ManifestBlobUnknown(error.message) from error
    stored = put.manifest.digest
    request.responded = recorded_request.put_image(request.ref, stored, tags)
    headers = [
        (b"location", request.path("manifests", stored).encode()),
        (b"docker-content-digest", stored.encode()),
    ]
    if put.subject is not None:
        headers.append((b"oci-subject", put.subject.encode()))
    if further:
        headers.append((b"oci-tag", ", ".join(further).encode()))
    await request.answer(201, headers)


def _tag_parameters(request: OciRequest) -> tuple[Tag, ...]:
    """Return the tags that a push by digest asks for, each once (distribution-spec main, "Pushing Manifests").

    Raises TagInvalid or TooManyTags. Profile `aws` ignores the parameter and returns none.
    """
    if request.services.aws:
        return ()
    tags = dict.fromkeys(map(_written_tag, request.query_values("tag")))
    if len(tags) > MOST_TAGS:
        raise TooManyTags(MOST_TAGS)
    return tuple(tags)


def _written_reference(text: str) -> tuple[Tag | None, Digest | None]:
    return (None, parse_digest(text)) if ":" in text else (_written_tag(text), None)


def _written_tag(text: str) -> Tag:
    try:
        return tag(text)
    except InvalidNameError as error:
        raise TagInvalid(text) from error


async def delete(request: OciRequest) -> None:
    """DELETE /v2/<name>/manifests/<reference>: delete an image by digest, or a tag by name."""
    as_tag, as_digest = _written_reference(request.route.argument)
    deleted, failures = await request.services.registry.images.batch_delete(
        request.ref, [ImageId(as_digest, as_tag)], by=request.by, api="oci"
    )
    if failures:
        raise _refusal(failures[0])
    if not deleted:
        raise ImageNotFound.requested()
    await request.answer(202, [])


def _refusal(failure: ImageFailure) -> MoorageError:
    """Return what the API reports for one image of many as the error of a request about one image."""
    if failure.code == "ImageNotFound":
        return ImageNotFound(failure.reason)
    if failure.code == "ImageReferencedByManifestList":
        refusal = ImageReferencedByManifestList(())
        refusal.message = failure.reason
        return refusal
    return InvalidParameter(failure.reason)
