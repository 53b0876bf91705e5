"""GET /v2/: is this a registry, and does it know me? (`docker login` asks.)"""

from moorage.api.oci.request import OciRequest


async def get(request: OciRequest) -> None:
    """A caller that is known gets an empty object; there is nothing to decide."""
    await request.answer(200, [(b"content-type", b"application/json; charset=utf-8")], b"{}")
