"""Errors about images and tags."""

from collections.abc import Sequence

from moorage.errors.base import MoorageError, in_registry
from moorage.names import RepositoryRef


class ImageNotFound(MoorageError):
    code = "ImageNotFoundException"

    @classmethod
    def one(cls, ref: RepositoryRef, image_digest: str | None, image_tag: str | None) -> "ImageNotFound":
        return cls(
            f"The image with imageId {{imageDigest:'{image_digest or 'null'}', imageTag:'{image_tag or 'null'}'}} "
            f"does not exist within the repository with name '{ref.name}' in the registry with id '{ref.account}'"
        )

    @classmethod
    def deleted(cls, ref: RepositoryRef, image_digest: str) -> "ImageNotFound":
        """Return the error for an image that is not in the trash."""
        return cls(
            f"No deleted image with digest '{image_digest}' is kept in the repository with name '{ref.name}' in the "
            f"registry with id '{ref.account}'"
        )

    @classmethod
    def tagged_before(cls, ref: RepositoryRef, image_tag: str) -> "ImageNotFound":
        """Return the error for a tag that has no earlier image to be restored to."""
        return cls(
            f"No other image that the tag '{image_tag}' pointed at is kept in the repository with name '{ref.name}' in "
            f"the registry with id '{ref.account}'"
        )

    @classmethod
    def requested(cls) -> "ImageNotFound":
        return cls("Requested image not found")


class ImageAlreadyExists(MoorageError):
    code = "ImageAlreadyExistsException"

    def __init__(self, ref: RepositoryRef, image_digest: str, image_tag: str | None) -> None:
        with_tag = f" and tag '{image_tag}'" if image_tag is not None else ""
        super().__init__(
            f"Image with digest '{image_digest}'{with_tag} already exists in the repository with name "
            f"'{ref.name}' in registry with id '{ref.account}'"
        )


class ImageTagAlreadyExists(MoorageError):
    code = "ImageTagAlreadyExistsException"

    def __init__(self, ref: RepositoryRef, image_tag: str) -> None:
        super().__init__(
            f"The image tag '{image_tag}' already exists in the '{ref.name}' repository and cannot be "
            "overwritten because the repository is immutable."
        )


class ImageDigestDoesNotMatch(MoorageError):
    code = "ImageDigestDoesNotMatchException"

    def __init__(self, given: str, actual: str) -> None:
        super().__init__(f"The provided digest '{given}' does not match the digest of the manifest '{actual}'")


class ImageReferencedByManifestList(MoorageError):
    """The image is a child of an index. ECR reports it for each image, or as 405 UNSUPPORTED on /v2/."""

    code = "ImageReferencedByManifestListException"

    def __init__(self, parents: Sequence[str]) -> None:
        super().__init__(f"Requested image referenced by manifest list: [{', '.join(parents)}]")


class ReferencedImagesNotFound(MoorageError):
    code = "ReferencedImagesNotFoundException"

    def __init__(self, ref: RepositoryRef, image_digests: Sequence[str]) -> None:
        super().__init__(
            f"Images with digests '[{', '.join(image_digests)}]' required for pushing image into "
            f"{in_registry(ref)} do not exist"
        )
