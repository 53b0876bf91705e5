"""The trash: list, restore and purge what was deleted."""

from collections.abc import Sequence

import msgspec
from starlette.responses import JSONResponse, Response

from moorage.access.resources import DeletedRepository
from moorage.api.admin.operation import Call, names, ref_of
from moorage.api.authorization import Target
from moorage.errors import RepositoryNotDeleted
from moorage.names import RepositoryName, RepositoryRef, digest, repository_name, tag


class RestoreRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What `restore` restores: a repository, one image, or one tag."""

    repository: str
    account: str | None = None
    tag: str | None = None
    digest: str | None = None
    as_name: str | None = msgspec.field(default=None, name="as")


class PurgeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What `purge` destroys: a deleted repository, or one image of a living one. It has no members that it would
    ignore."""

    repository: str
    account: str | None = None
    digest: str | None = None


async def the_deleted(call: Call, request: RestoreRequest) -> Sequence[Target]:
    """Return the repository (a deleted one unless the request is for one of its images or tags) and its new name."""
    ref = ref_of(call, request)
    as_name = _as_name(request)
    if request.tag is not None or request.digest is not None:
        return (ref,)
    return (await _deleted(call, ref), *(() if as_name is None else (ref._replace(name=as_name),)))


async def the_purged(call: Call, request: PurgeRequest) -> Sequence[Target]:
    """Return the living repository whose image is destroyed, or the deleted repository."""
    ref = ref_of(call, request)
    return (await _deleted(call, ref) if request.digest is None else ref,)


async def _deleted(call: Call, ref: RepositoryRef) -> Target:
    """Return the last deleted repository of that name; if there is none, the name, which later results in 404."""
    found = await call.services.registry.trash.latest(ref)
    return ref if found is None else DeletedRepository(ref, found)


def _decided(call: Call, ref: RepositoryRef) -> int:
    """Return the id of the deleted repository that was decided on, because another of its name may have been deleted
    since."""
    deleted = call.targets[0]
    if not isinstance(deleted, DeletedRepository):
        raise RepositoryNotDeleted(ref)
    return deleted.id


async def restore(call: Call, request: RestoreRequest) -> Response:
    trash, ref = call.services.registry.trash, ref_of(call, request)
    with names():
        if request.tag is not None:
            restored = await trash.restore_tag(ref, tag(request.tag), by=call.by)
            return _said(f"{ref.name}:{request.tag} is {restored} again")
        if request.digest is not None:
            image = await trash.restore_image(ref, digest(request.digest), by=call.by)
            tagged = f", tagged {', '.join(image.tags)}" if image.tags else ""
            others = f", with {len(image.others)} more that it names" if image.others else ""
            return _said(f"{ref.name}@{request.digest} is back{tagged}{others}")
    back = await trash.restore_repository(ref, as_name=_as_name(request), by=call.by, expected_id=_decided(call, ref))
    return _said(f"repository {back.name} is back")


async def purge(call: Call, request: PurgeRequest) -> Response:
    trash, ref = call.services.registry.trash, ref_of(call, request)
    if request.digest is not None:
        with names():
            doomed = digest(request.digest)
        children = await trash.purge_image(ref, doomed, by=call.by)
        plural = "s" if len(children) > 1 else ""
        others = f", with {len(children)} deleted image{plural} that only it named" if children else ""
        return _said(f"{ref.name}@{doomed} is destroyed{others}")
    await trash.purge_repository(ref, by=call.by, expected_id=_decided(call, ref))
    return _said(f"repository {ref.name} is destroyed")


def _as_name(request: RestoreRequest) -> RepositoryName | None:
    """Return the new name of a repository that is restored; tags and images are restored in place."""
    if request.as_name is None or request.tag is not None or request.digest is not None:
        return None
    with names():
        return repository_name(request.as_name)


def _said(text: str) -> Response:
    """Return one sentence for the person who ran the command."""
    return JSONResponse({"text": text})
