"""Repositories as the registry's callers see them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from moorage.names import RepositoryRef
from moorage.registry.repositories import validation

_NO_TAGS: Final[Mapping[str, str]] = {}


class Encryption(msgspec.Struct, frozen=True, gc=False):
    """Encryption settings. They are stored and returned; `kms_key` is only meaningful with a KMS type."""

    type: str = "AES256"
    kms_key: str | None = None


class TagMutability(msgspec.Struct, frozen=True):
    """Which image tags may be moved to another image. InvalidParameter if the filters do not fit the mode."""

    mode: str = "MUTABLE"
    """MUTABLE, IMMUTABLE, or one of them with the suffix _WITH_EXCLUSION."""
    exclusion_filters: tuple[str, ...] = ()
    """Wildcard texts for the tags that are excepted, with a _WITH_EXCLUSION mode."""

    def __post_init__(self) -> None:
        validation.check_filters(self.mode, self.exclusion_filters)


class NewRepository(msgspec.Struct, frozen=True):
    """A repository to create. InvalidParameter, InvalidTagParameter or TooManyTags if a value is not valid."""

    ref: RepositoryRef
    mutability: TagMutability = TagMutability()
    scan_on_push: bool = False
    encryption: Encryption = Encryption()
    tags: Mapping[str, str] = _NO_TAGS

    def __post_init__(self) -> None:
        validation.check_creatable(self.ref)
        validation.check_tags(self.tags)


class Repository(msgspec.Struct, frozen=True, gc=False):
    """A repository."""

    id: int
    ref: RepositoryRef
    created_at: float
    """Seconds since the epoch."""
    mutability: str
    exclusion_filters: tuple[str, ...]
    scan_on_push: bool
    encryption: Encryption


class RepositoryState(msgspec.Struct, frozen=True, gc=False):
    """What a decision about a repository needs to know of it."""

    repository_id: int
    policy_hash: str | None
    tags: Mapping[str, str]


class NamePage(NamedTuple):
    """A page of repository names."""

    names: list[str]
    following: str | None
    """Where the next page begins, for `after`: a name, or `~` and an id. None: this is the last page."""
