"""The rules of repositories, as functions of a connection: combine them freely in one transaction.

Each change records its event. `by` is the principal who makes it, `at` the time in seconds since the epoch. Functions
that need the repository raise RepositoryNotFound.
"""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from moorage import events
from moorage.errors import RepositoryAlreadyExists, RepositoryNotEmpty, RepositoryNotFound
from moorage.events import registry as vocabulary
from moorage.names import RepositoryRef, partition
from moorage.registry import quotas
from moorage.registry.repositories.types import Encryption, NewRepository, Repository, RepositoryState, TagMutability
from moorage.registry.repositories.validation import check_tag_keys, check_tags
from moorage.settings import Settings
from moorage.store.metadata.repositories import repositories as rows
from moorage.store.metadata.repositories import resource_tags as tag_rows
from moorage.store.metadata.repositories import trash as trash_rows
from moorage.store.metadata.repositories.repositories import RepositoryRow


def create(conn: Connection, new: NewRepository, settings: Settings, *, by: str, at: float) -> Repository:
    """Create a repository. RepositoryAlreadyExists, LimitExceeded."""
    if rows.find(conn, new.ref) is not None:
        raise RepositoryAlreadyExists(new.ref)
    quotas.require_repository_room(conn, new.ref, settings)
    encryption = _resolved(new.encryption, new.ref)
    repository_id = rows.add(
        conn,
        new.ref,
        created_at=at,
        created_by=by,
        mutability=new.mutability.mode,
        exclusion_filters=_encoded(new.mutability),
        scan_on_push=new.scan_on_push,
        encryption_type=encryption.type,
        kms_key=encryption.kms_key,
    )
    tag_rows.put(conn, repository_id, new.tags)
    events.record(conn, vocabulary.RepositoryCreated(at=at, by=by, **events.of_repository(new.ref)))
    return get(conn, new.ref)


def require(conn: Connection, ref: RepositoryRef) -> RepositoryRow:
    """Return the row of the repository, or raise RepositoryNotFound."""
    row = rows.find(conn, ref)
    if row is None:
        raise RepositoryNotFound(ref)
    return row


def require_id(conn: Connection, ref: RepositoryRef) -> int:
    """Return the id of the repository, or raise RepositoryNotFound."""
    repository_id = rows.id_of(conn, ref)
    if repository_id is None:
        raise RepositoryNotFound(ref)
    return repository_id


def get(conn: Connection, ref: RepositoryRef) -> Repository:
    """Return the repository."""
    return repository(require(conn, ref))


def delete(conn: Connection, ref: RepositoryRef, *, force: bool, by: str, at: float) -> Repository:
    """Move the repository and everything in it to the trash. Return it as it was.

    RepositoryNotEmpty if it holds an image and `force` is false. Its open uploads end later, in the background.
    """
    row = require(conn, ref)
    if not force and rows.has_images(conn, row.id):
        raise RepositoryNotEmpty(ref)
    trash_rows.add(conn, row.id, at, by)
    events.record(conn, vocabulary.RepositoryDeleted(at=at, by=by, **events.of_repository(ref)))
    return repository(row)


def set_mutability(
    conn: Connection, ref: RepositoryRef, mutability: TagMutability, *, by: str, at: float
) -> Repository:
    """Set which tags may be moved from now on. Tags that exist stay where they are."""
    rows.set_mutability(conn, require_id(conn, ref), mutability.mode, _encoded(mutability))
    return _changed(conn, ref, by, at)


def set_scan_on_push(conn: Connection, ref: RepositoryRef, scan_on_push: bool, *, by: str, at: float) -> Repository:
    """Set whether images are scanned when they are pushed."""
    rows.set_scan_on_push(conn, require_id(conn, ref), scan_on_push)
    return _changed(conn, ref, by, at)


def _changed(conn: Connection, ref: RepositoryRef, by: str, at: float) -> Repository:
    changed = get(conn, ref)
    event = vocabulary.RepositorySettingsChanged(
        at=at,
        by=by,
        **events.of_repository(ref),
        mutability=changed.mutability,
        exclusion_filters=changed.exclusion_filters,
        scan_on_push=changed.scan_on_push,
    )
    events.record(conn, event)
    return changed


def tag(conn: Connection, ref: RepositoryRef, tags: Mapping[str, str], *, by: str, at: float) -> None:
    """Add resource tags; a tag with the key of an existing one replaces it. InvalidTagParameter, TooManyTags."""
    check_tags(tags)
    repository_id = require_id(conn, ref)
    if not tags:
        return
    tag_rows.put(conn, repository_id, tags)
    check_tags(tag_rows.of_repository(conn, repository_id))
    events.record(conn, vocabulary.RepositoryTagged(at=at, by=by, **events.of_repository(ref), keys=tuple(tags)))


def untag(conn: Connection, ref: RepositoryRef, keys: Sequence[str], *, by: str, at: float) -> None:
    """Remove the resource tags with these keys, as far as they exist. InvalidTagParameter."""
    check_tag_keys(keys)
    repository_id = require_id(conn, ref)
    removed = tuple(sorted(tag_rows.of_repository(conn, repository_id).keys() & set(keys)))
    if removed:  # a client may send any number of other keys, which must not fill the outbox
        tag_rows.remove(conn, repository_id, removed)
        events.record(conn, vocabulary.RepositoryUntagged(at=at, by=by, **events.of_repository(ref), keys=removed))


def tags(conn: Connection, ref: RepositoryRef) -> dict[str, str]:
    """Return the resource tags of the repository."""
    return tag_rows.of_repository(conn, require_id(conn, ref))


def state(conn: Connection, ref: RepositoryRef) -> tuple[int, RepositoryState | None]:
    """Return the authorization epoch and what a decision needs to know of the repository; None if there is none."""
    found = rows.state(conn, ref)
    first = found[0]
    if first.id is None:
        return first.epoch, None
    of_repository = {row.key: row.value or "" for row in found if row.key is not None}
    return first.epoch, RepositoryState(first.id, first.policy_hash, of_repository)


def deleted_state(conn: Connection, repository_id: int) -> RepositoryState | None:
    """Return what a decision needs to know of a repository in the trash; None if it is not there."""
    row = trash_rows.find(conn, repository_id)
    return None if row is None else RepositoryState(row.id, row.policy_hash, tag_rows.of_repository(conn, row.id))


def repository(row: RepositoryRow) -> Repository:
    """Return the repository of a row."""
    return Repository(
        id=row.id,
        ref=RepositoryRef(row.account, row.region, row.name),
        created_at=row.created_at,
        mutability=row.mutability,
        exclusion_filters=decode_filters(row.exclusion_filters),
        scan_on_push=bool(row.scan_on_push),
        encryption=Encryption(row.encryption_type, row.kms_key),
    )


def decode_filters(stored: str) -> tuple[str, ...]:
    """Return the exclusion filters of a row."""
    return msgspec.json.decode(stored, type=tuple[str, ...])


def _encoded(mutability: TagMutability) -> str:
    return msgspec.json.encode(mutability.exclusion_filters).decode()


def _resolved(encryption: Encryption, ref: RepositoryRef) -> Encryption:
    """Return the settings with the key as an ARN. With KMS and no key, ECR takes the key that AWS manages for it."""
    if encryption.type == "AES256":
        return Encryption()
    key = encryption.kms_key or "alias/aws/ecr"
    if not key.startswith("arn:"):
        kind = key if key.startswith("alias/") else f"key/{key}"
        key = f"arn:{partition(ref.region)}:kms:{ref.region}:{ref.account}:{kind}"
    return Encryption(encryption.type, key)
