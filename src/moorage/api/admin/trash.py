"""What was deleted, brought back or destroyed."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.api.admin.service import AdminServices, names
from moorage.names import digest, repository_name, tag


class RestoreRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What `restore` brings back: a repository, one image, or one tag."""

    repository: str
    account: str | None = None
    tag: str | None = None
    digest: str | None = None
    as_name: str | None = msgspec.field(default=None, name="as")


class PurgeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What `purge` destroys: a deleted repository, or one image of a living one. It takes nothing it would ignore."""

    repository: str
    account: str | None = None
    digest: str | None = None


def routes(services: AdminServices) -> list[Route]:
    trash = services.registry.trash

    async def restore(request: Request) -> Response:
        signed = await services.signed(request)
        asked = signed.decoded(RestoreRequest)
        ref = await services.permitted(signed, "moorage:Restore", asked.repository, asked.account)
        with names():
            if asked.tag is not None:
                restored = await trash.restore_tag(ref, tag(asked.tag), by=signed.by)
                return _said(f"{ref.name}:{asked.tag} is {restored} again")
            if asked.digest is not None:
                image = await trash.restore_image(ref, digest(asked.digest), by=signed.by)
                tagged = f", tagged {', '.join(image.tags)}" if image.tags else ""
                others = f", with {len(image.others)} more that it names" if image.others else ""
                return _said(f"{ref.name}@{asked.digest} is back{tagged}{others}")
            as_name = None if asked.as_name is None else repository_name(asked.as_name)
        if as_name is not None:
            target = ref._replace(name=as_name)
            await services.access.require(signed.caller, signed.connection, "moorage:Restore", target)
        back = await trash.restore_repository(ref, as_name=as_name, by=signed.by)
        return _said(f"repository {back.name} is back")

    async def purge(request: Request) -> Response:
        signed = await services.signed(request)
        asked = signed.decoded(PurgeRequest)
        ref = await services.permitted(signed, "moorage:Purge", asked.repository, asked.account)
        if asked.digest is not None:
            with names():
                doomed = digest(asked.digest)
            children = await trash.purge_image(ref, doomed, by=signed.by)
            plural = "s" if len(children) > 1 else ""
            others = f", with {len(children)} deleted image{plural} that only it named" if children else ""
            return _said(f"{ref.name}@{doomed} is destroyed{others}")
        await trash.purge_repository(ref, by=signed.by)
        return _said(f"repository {ref.name} is destroyed")

    return [
        Route("/_moorage/restore", restore, methods=["POST"]),
        Route("/_moorage/purge", purge, methods=["POST"]),
    ]


def _said(text: str) -> Response:
    """One sentence for the person who typed the command."""
    return JSONResponse({"text": text})
