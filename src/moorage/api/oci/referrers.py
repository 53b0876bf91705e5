"""GET /v2/<name>/referrers/<digest>: the manifests whose subject is this digest."""

from urllib.parse import urlencode

import msgspec

from moorage.api.asgi import Headers
from moorage.api.oci.errors import PageInvalid
from moorage.api.oci.request import OciRequest, parse_digest
from moorage.errors import RepositoryNotFound
from moorage.registry.images.types import Referrer

MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
PAGE = 250
"""Referrers in one response. Their annotations have at most `pages.PAGE_BYTES` together."""


class Descriptor(msgspec.Struct, rename="camel", omit_defaults=True):
    media_type: str
    digest: str
    size: int
    artifact_type: str | None = None
    annotations: msgspec.Raw | None = None


class Index(msgspec.Struct, rename="camel"):
    manifests: list[Descriptor]
    schema_version: int = 2
    media_type: str = MEDIA_TYPE


async def get(request: OciRequest) -> None:
    """Return an image index of the referrers. It is empty if there are none, whether or not the subject exists.

    In profile `oci`, it is also empty if the repository does not exist: a 404 would make clients use the fallback tag.
    """
    subject = parse_digest(request.route.argument)
    artifact_type = request.query.get("artifactType") or None
    after = request.query.get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise PageInvalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid next token'")
    if artifact_type is not None and not artifact_type.isprintable():
        raise PageInvalid("Invalid parameter at 'artifactType' failed to satisfy constraint: 'Member must be a type'")
    following: int | None = None
    found: list[Referrer] = []
    try:
        found, following = await request.services.registry.images.referrers(
            request.ref, subject, artifact_type=artifact_type, after=int(after), limit=PAGE
        )
    except RepositoryNotFound:
        if request.services.aws:
            raise
    headers: Headers = [(b"content-type", MEDIA_TYPE.encode())]
    if artifact_type is not None:
        headers.append((b"oci-filters-applied", b"artifactType"))
    if following is not None:
        query = {"after": str(following)} | ({"artifactType": artifact_type} if artifact_type else {})
        url = f"{request.path('referrers', subject)}?{urlencode(query)}"
        headers.append((b"link", f'<{url}>; rel="next"'.encode()))
    await request.answer(200, headers, msgspec.json.encode(Index([_descriptor(each) for each in found])))


def _descriptor(referrer: Referrer) -> Descriptor:
    return Descriptor(
        referrer.media_type,
        referrer.digest,
        referrer.size,
        referrer.artifact_type or None,
        referrer.annotations,
    )
