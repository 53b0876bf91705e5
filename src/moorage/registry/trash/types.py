"""What the trash holds and gives back."""

from collections.abc import Sequence
from typing import NamedTuple

from moorage.names import Digest, RepositoryName, Tag


class TrashedRepository(NamedTuple):
    """A repository in the trash."""

    name: RepositoryName
    deleted_at: float
    """Seconds since the epoch."""
    deleted_by: str


class RestoredImage(NamedTuple):
    """What was restored with an image."""

    tags: Sequence[Tag]
    """Its own tags, except those that point at other images by now."""
    others: Sequence[Digest]
    """For an index: the images it names that were deleted with it or later, and recursively those that they name."""
