"""Rules about uploads, as functions of a connection, for any transaction."""

from sqlalchemy import Connection

from moorage import events
from moorage.errors import (
    EmptyUpload,
    LayerAlreadyExists,
    LayerPartTooSmall,
    TooManyUploads,
    UploadNotFound,
    UploadRangeInvalid,
)
from moorage.events.registry import LayerUploaded
from moorage.names import RepositoryRef
from moorage.registry.layers.types import CheckedObject, Completion, Layer, UncheckedObject
from moorage.registry.repositories.rules import require_id
from moorage.store.blobs.store import Staged
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.layers import uploads as upload_rows
from moorage.store.metadata.layers.blobs import BlobRow
from moorage.store.metadata.layers.uploads import Growth, UploadQuota, UploadRow


def begin(conn: Connection, ref: RepositoryRef, upload_id: str, quota: UploadQuota, *, by: str, at: float) -> None:
    """Add an empty upload. RepositoryNotFound, TooManyUploads."""
    if not upload_rows.begin(conn, upload_id, require_id(conn, ref), ref.account, quota, at, by):
        raise over_quota(f"{quota.in_repository} open uploads a repository, {quota.in_account} an account")


def find(conn: Connection, ref: RepositoryRef, upload_id: str) -> UploadRow:
    """Return the upload. RepositoryNotFound; UploadNotFound also when it is another repository's."""
    found = upload_rows.find(conn, ref, upload_id)
    if found is None:
        require_id(conn, ref)
        raise UploadNotFound(ref, upload_id)
    return found


def find_with_bytes(conn: Connection, ref: RepositoryRef, upload_id: str) -> tuple[UploadRow, Staged]:
    """Like `find`, with the parts and pieces of the upload."""
    found = find(conn, ref, upload_id)
    return found, upload_rows.staged(conn, found)


def check_completable(found: UploadRow) -> None:
    """Check what ECR requires of a completed upload. EmptyUpload, LayerPartTooSmall."""
    if found.size == 0:
        raise EmptyUpload(found.id)
    if found.small_parts:
        raise LayerPartTooSmall


def add_piece(conn: Connection, ref: RepositoryRef, found: UploadRow, content: bytes, growth: Growth) -> None:
    """Add bytes that are kept in the metadata.

    UploadRangeInvalid when the upload has grown since it was found, UploadNotFound when it has ended.
    """
    if not upload_rows.add_piece(conn, found, content, growth):
        raise UploadRangeInvalid(found.id, find(conn, ref, found.id).size)


def record(
    conn: Connection, ref: RepositoryRef, found: UploadRow, before: Staged, after: Staged, growth: Growth
) -> None:
    """Record bytes that the blob store has appended. UploadRangeInvalid and UploadNotFound as in `add_piece`."""
    if not upload_rows.record(conn, found, before, after, growth):
        raise UploadRangeInvalid(found.id, find(conn, ref, found.id).size)


def complete_small(
    conn: Connection, given: Completion, repository: int, content: bytes, checked: CheckedObject | None
) -> Layer | UncheckedObject:
    """Make bytes that the metadata keep, and that have this digest, a layer of the repository.

    Stored bytes of the digest are kept, unless they are lost or, in the metadata, differ. Nothing has changed when the
    result is an `UncheckedObject`: call it again with that object `checked`.
    `repository`: the id of the repository. UploadNotFound, LayerAlreadyExists.
    """
    blob = blob_rows.find(conn, given.digest)
    object_key = "" if blob is None else blob.object_key
    was_whole = False
    if blob is not None and not object_key:
        was_whole = blob_rows.content(conn, given.digest) == content
    elif blob is not None:
        if checked is None or checked.object_key != object_key:
            return UncheckedObject(object_key, len(content))
        was_whole = checked.is_whole
    if was_whole and given.refuses_again and layer_rows.holds(conn, repository, given.digest):
        raise LayerAlreadyExists(given.ref, given.digest)
    if blob is None:
        blob_rows.add_small(conn, given.digest, content, given.at)
    elif not was_whole:
        blob_rows.replace_content(conn, given.digest, object_key, content, given.at)
        object_key = ""
    if blob is not None and blob.orphaned_at is not None:
        blob_rows.keep(conn, given.digest)
    _attach(conn, given, repository, len(content))
    return Layer(given.digest, len(content), object_key, None if object_key else content)


def complete_stored(conn: Connection, given: Completion, size: int) -> Layer | None:
    """Make a blob that is stored already a layer of the repository; None when no blob of that digest is stored.

    In one transaction with the end of the upload: the sweep frees a blob by deleting its row in a transaction of its
    own, so either the row is gone here, or the blob is no orphan when the sweep looks.
    RepositoryNotFound, UploadNotFound, LayerAlreadyExists.
    """
    blob = blob_rows.find(conn, given.digest)
    return None if blob is None else _complete(conn, given, size, blob)


def complete_large(conn: Connection, given: Completion, object_key: str, size: int, lost: str | None) -> Layer:
    """Make an object of the blob store, which has this digest, a layer of the repository.

    If the digest is stored already, the object is not used, unless the stored bytes are `lost`: the object with this
    key, or with "" those kept in the metadata.
    """
    blob = blob_rows.find(conn, given.digest)
    if blob is None:
        blob_rows.add(conn, given.digest, object_key, size, given.at)
        blob = BlobRow(given.digest, object_key, size, None)
    elif lost is not None and blob.object_key == lost:
        blob_rows.replace_object(conn, given.digest, lost, object_key, given.at)
        blob = blob._replace(object_key=object_key)
        given = given._replace(refuses_again=False)  # a layer without its bytes may be uploaded again
    return _complete(conn, given, size, blob)


def _complete(conn: Connection, given: Completion, size: int, blob: BlobRow) -> Layer:
    """Make a stored blob a layer of the repository."""
    repository = require_id(conn, given.ref)
    if given.refuses_again and layer_rows.holds(conn, repository, given.digest):
        raise LayerAlreadyExists(given.ref, given.digest)
    _attach(conn, given, repository, size)
    blob_rows.keep(conn, given.digest)
    content = None if blob.object_key else blob_rows.content(conn, given.digest)
    return Layer(given.digest, size, blob.object_key, content)


def _attach(conn: Connection, given: Completion, repository: int, size: int) -> None:
    """Give the repository the blob, and end the upload."""
    layer_rows.attach(conn, repository, given.digest, size, given.at)
    if given.upload_id is not None and not upload_rows.finish(conn, given.upload_id, given.ref.account):
        raise UploadNotFound(given.ref, given.upload_id)
    where = events.of_repository(given.ref)
    events.record(conn, LayerUploaded(at=given.at, by=given.by, **where, digest=given.digest, size=size))


def over_quota(rule: str) -> TooManyUploads:
    """Return the refusal of what would break `rule`."""
    return TooManyUploads(f"The operation did not succeed because it would have exceeded a service limit: {rule}")
