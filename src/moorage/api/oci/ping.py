"""GET /v2/: clients ask whether this is a registry and whether it accepts their credentials (`docker login`)."""

from moorage.api.oci.request import OciRequest


async def get(request: OciRequest) -> None:
    """Return an empty object to an authenticated caller; no action is decided."""
    await request.answer(200, [(b"content-type", b"application/json; charset=utf-8")], b"{}")
