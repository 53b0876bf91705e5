"""Rules about which blobs belong to a repository, as functions of a connection, for any transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection

from moorage import events
from moorage.errors import LayerInaccessible, LayerReferenced, LayersNotFound
from moorage.events.registry import LayerDeleted, LayerMounted
from moorage.names import Digest, RepositoryRef
from moorage.registry.layers.types import Layer, Mount
from moorage.registry.repositories.rules import require_id
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.layers.layers import StoredLayer
from moorage.store.metadata.repositories import account_settings as setting_rows
from moorage.store.metadata.repositories import repositories as repository_rows


def find(conn: Connection, ref: RepositoryRef, digest: Digest) -> tuple[Layer, int]:
    """Return the layer and the id of its repository; RepositoryNotFound, LayersNotFound."""
    row = layer_rows.find(conn, ref, digest)
    if row is not None:
        return Layer(digest, row.size, row.object_key, row.content), row.repository_id
    require_id(conn, ref)
    raise LayersNotFound.one(ref, digest)


def find_downloadable(conn: Connection, ref: RepositoryRef, digest: Digest) -> Layer:
    """Like `find`; LayerInaccessible while no image references the layer (ECR's GetDownloadUrlForLayer)."""
    layer, repository = find(conn, ref, digest)
    if not image_rows.is_referenced(conn, repository, digest):
        raise LayerInaccessible(ref, digest)
    return layer


def stored(
    conn: Connection, ref: RepositoryRef, digests: Sequence[str]
) -> tuple[Sequence[StoredLayer], dict[str, str]]:
    """Return those of `digests` that the repository has, and the media types of those that an image references."""
    repository = require_id(conn, ref)
    rows = layer_rows.stored(conn, repository, digests)
    return rows, layer_rows.media_types(conn, repository, [row.digest for row in rows])


def mount(conn: Connection, given: Mount) -> Layer | None:
    """Give the repository a layer of the source; None if the source does not have it, or ECR would not mount it.

    RepositoryNotFound.
    """
    repository = require_id(conn, given.ref)
    row = layer_rows.find(conn, given.source, given.digest)
    if row is None or (given.as_ecr and not _ecr_mounts(conn, given)):
        return None
    if layer_rows.attach(conn, repository, given.digest, row.size, given.at):
        where = events.of_repository(given.ref)
        events.record(
            conn, LayerMounted(at=given.at, by=given.by, **where, digest=given.digest, source=given.source.name)
        )
    blob_rows.keep(conn, given.digest)
    return Layer(given.digest, row.size, row.object_key, row.content)


def _ecr_mounts(conn: Connection, given: Mount) -> bool:
    if setting_rows.get(conn, given.ref.account, given.ref.region, "BLOB_MOUNTING") != "ENABLED":
        return False
    to, source = repository_rows.find(conn, given.ref), repository_rows.find(conn, given.source)
    if to is None or source is None or (to.encryption_type, to.kms_key) != (source.encryption_type, source.kms_key):
        return False
    return image_rows.is_referenced(conn, source.id, given.digest)


def delete(conn: Connection, ref: RepositoryRef, digest: Digest, *, by: str, at: float) -> None:
    """Remove the layer from the repository. Its bytes are freed after the grace period if no repository has them.

    LayerReferenced while an image of the repository references it. While only deleted images do, it is hidden, and
    restoring one of them brings it back. RepositoryNotFound, LayersNotFound.
    """
    _, repository = find(conn, ref, digest)
    image = image_rows.using(conn, repository, digest)
    if image is not None:
        raise LayerReferenced(digest, image)
    layer_rows.delete_or_hide(conn, repository, digest, at)
    blob_rows.orphan(conn, [digest], at)
    events.record(conn, LayerDeleted(at=at, by=by, **events.of_repository(ref), digest=digest))
