"""Events about registries, repositories, images and layers."""

from typing import ClassVar

from moorage.events.event import Authorization, RegistryEvent, RepositoryEvent
from moorage.names import Digest, RepositoryName, Tag


class RepositoryCreated(RepositoryEvent, frozen=True, kw_only=True, tag="repository.created"):
    """A repository was created."""

    authorization: ClassVar[Authorization] = Authorization.REPOSITORY


class RepositoryDeleted(RepositoryEvent, frozen=True, kw_only=True, tag="repository.deleted"):
    """A repository was moved to the trash with all its images."""

    authorization: ClassVar[Authorization] = Authorization.REPOSITORY


class RepositoryRestored(RepositoryEvent, frozen=True, kw_only=True, tag="repository.restored"):
    """A repository was restored from the trash, perhaps under another name."""

    authorization: ClassVar[Authorization] = Authorization.REPOSITORY

    former_name: RepositoryName
    """The name under which it was deleted."""


class RepositoryPurged(RepositoryEvent, frozen=True, kw_only=True, tag="repository.purged"):
    """A deleted repository was destroyed."""


class RepositorySettingsChanged(RepositoryEvent, frozen=True, kw_only=True, tag="repository.settings-changed"):
    """The tag mutability or the scan setting of a repository was set. The fields have the values since then."""

    mutability: str
    exclusion_filters: tuple[str, ...]
    scan_on_push: bool


class RepositoryTagged(RepositoryEvent, frozen=True, kw_only=True, tag="repository.tagged"):
    """Resource tags were added to a repository or changed."""

    authorization: ClassVar[Authorization] = Authorization.REPOSITORY

    keys: tuple[str, ...]


class RepositoryUntagged(RepositoryEvent, frozen=True, kw_only=True, tag="repository.untagged"):
    """Resource tags were removed from a repository."""

    authorization: ClassVar[Authorization] = Authorization.REPOSITORY

    keys: tuple[str, ...]


class RepositoryPolicySet(RepositoryEvent, frozen=True, kw_only=True, tag="repository-policy.set"):
    """A repository policy was set or replaced."""

    authorization: ClassVar[Authorization] = Authorization.REPOSITORY

    policy_hash: str
    """SHA-256 of its text, in hex."""


class RepositoryPolicyDeleted(RepositoryEvent, frozen=True, kw_only=True, tag="repository-policy.deleted"):
    """A repository policy was deleted."""

    authorization: ClassVar[Authorization] = Authorization.REPOSITORY


class ImagePushed(RepositoryEvent, frozen=True, kw_only=True, tag="image.pushed"):
    """A manifest was pushed. One event for each tag, as ECR sends them."""

    digest: Digest
    tag: Tag | None
    media_type: str
    artifact_type: str | None
    subject: Digest | None


class ImageDeleted(RepositoryEvent, frozen=True, kw_only=True, tag="image.deleted"):
    """An image was moved to the trash with all its tags."""

    digest: Digest
    tags: tuple[Tag, ...]


class ImageUntagged(RepositoryEvent, frozen=True, kw_only=True, tag="image.untagged"):
    """Tags were deleted; the image stays."""

    digest: Digest
    tags: tuple[Tag, ...]


class ImageRestored(RepositoryEvent, frozen=True, kw_only=True, tag="image.restored"):
    """An image was restored from the trash."""

    digest: Digest


class ImagePurged(RepositoryEvent, frozen=True, kw_only=True, tag="image.purged"):
    """A deleted image was destroyed."""

    digest: Digest


class TagRestored(RepositoryEvent, frozen=True, kw_only=True, tag="tag.restored"):
    """A deleted or moved tag was set back to an image."""

    digest: Digest
    tag: Tag


class LayerUploaded(RepositoryEvent, frozen=True, kw_only=True, tag="layer.uploaded"):
    """An upload was completed and became a layer of the repository."""

    digest: Digest
    size: int
    """Bytes."""


class LayerMounted(RepositoryEvent, frozen=True, kw_only=True, tag="layer.mounted"):
    """A layer of another repository was mounted."""

    digest: Digest
    source: str
    """The name of the repository that it comes from."""


class LayerDeleted(RepositoryEvent, frozen=True, kw_only=True, tag="layer.deleted"):
    """A layer was deleted from a repository by its digest."""

    digest: Digest


class RegistryPolicySet(RegistryEvent, frozen=True, kw_only=True, tag="registry-policy.set"):
    """A registry policy was set or replaced."""

    authorization: ClassVar[Authorization] = Authorization.ACCOUNT

    policy_hash: str
    """SHA-256 of its text, in hex."""


class RegistryPolicyDeleted(RegistryEvent, frozen=True, kw_only=True, tag="registry-policy.deleted"):
    """A registry policy was deleted."""

    authorization: ClassVar[Authorization] = Authorization.ACCOUNT


class AccountSettingChanged(RegistryEvent, frozen=True, kw_only=True, tag="account-setting.changed"):
    """A setting of a registry changed (PutAccountSetting)."""

    authorization: ClassVar[Authorization] = Authorization.ACCOUNT

    name: str
    value: str
