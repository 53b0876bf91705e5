"""GET /v2/<name>/tags/list."""

import msgspec

from moorage.api.asgi import Headers
from moorage.api.oci import pages
from moorage.api.oci.request import OciRequest


class TagList(msgspec.Struct):
    """The response of the specification."""

    name: str
    tags: list[str]


async def get(request: OciRequest) -> None:
    """Return the tags of the repository in ASCII order, a page at a time."""
    page = pages.asked(request)
    # One more than requested, to find out whether there is a next page.
    names = await request.services.registry.images.tag_names(request.ref, after=page.after, limit=page.limit + 1)
    given = names[: page.limit]
    media_type = b"text/plain; charset=utf-8" if request.services.aws else b"application/json"
    headers: Headers = [(b"content-type", media_type)]
    if given and len(names) > len(given):
        headers += pages.link(request, request.path("tags", "list"), page, given[-1])
    await request.answer(200, headers, msgspec.json.encode(TagList(request.route.name, given)))
