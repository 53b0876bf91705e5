"""Errors about layers and uploads."""

from collections.abc import Mapping, Sequence

from moorage.errors.base import MoorageError, in_registry
from moorage.errors.requests import LimitExceeded
from moorage.names import RepositoryRef


class LayersNotFound(MoorageError):
    code = "LayersNotFoundException"

    @classmethod
    def one(cls, ref: RepositoryRef, layer_digest: str) -> "LayersNotFound":
        return cls(
            f"The layer with digest '{layer_digest}' does not exist within the repository with name "
            f"'{ref.name}' in the registry with id '{ref.account}'"
        )

    @classmethod
    def required(cls, ref: RepositoryRef, layer_digests: Sequence[str]) -> "LayersNotFound":
        return cls(
            f"Layers with digests '[{', '.join(layer_digests)}]' required for pushing image into "
            f"{in_registry(ref)} do not exist"
        )


class LayerReferenced(MoorageError):
    """A layer cannot be deleted, because an image references it. ECR has no operation that deletes layers."""

    def __init__(self, layer_digest: str, image_digest: str) -> None:
        super().__init__(
            f"The blob {layer_digest} cannot be deleted, because the image {image_digest} of this repository "
            "references it. Delete the image first."
        )


class LayersLost(MoorageError):
    """A deleted image cannot be restored, because the repository no longer has its layers."""

    code = "LayersNotFoundException"

    def __init__(self, image_digest: str, layer_digests: Sequence[str]) -> None:
        super().__init__(
            f"The image {image_digest} cannot be restored, because the repository no longer has the blobs "
            f"{', '.join(layer_digests)}. Upload them, or push the image again."
        )


class LayerInaccessible(MoorageError):
    code = "LayerInaccessibleException"

    def __init__(self, ref: RepositoryRef, layer_digest: str) -> None:
        super().__init__(
            f"The layer with digest '{layer_digest}' in the {in_registry(ref)} is not accessible "
            "because no image references it"
        )


class LayerAlreadyExists(MoorageError):
    code = "LayerAlreadyExistsException"

    def __init__(self, ref: RepositoryRef, layer_digest: str) -> None:
        super().__init__(f"The layer with digest '{layer_digest}' already exists in the {in_registry(ref)}")


class UploadNotFound(MoorageError):
    code = "UploadNotFoundException"

    def __init__(self, ref: RepositoryRef, upload_id: str) -> None:
        super().__init__(f"The upload with id '{upload_id}' could not be found in the {in_registry(ref)}")


class TooManyUploads(LimitExceeded):
    """A quota of open uploads is used up: their number or their bytes. It is freed as uploads end."""


class InvalidLayer(MoorageError):
    """The received bytes do not match the digest."""

    code = "InvalidLayerException"


class InvalidLayerPart(MoorageError):
    code = "InvalidLayerPartException"

    def __init__(self, ref: RepositoryRef, upload_id: str, last_valid_byte: int, detail: str) -> None:
        super().__init__(f"Layer part invalid for upload id '{upload_id}': {detail}")
        self.ref = ref
        self.upload_id = upload_id
        self.last_valid_byte = last_valid_byte
        """Index of the last byte received (inclusive); -1 if there is none. The response then omits it, because the
        minimum in the service model is 0."""

    def members(self) -> Mapping[str, object]:
        members = {"registryId": self.ref.account, "repositoryName": self.ref.name, "uploadId": self.upload_id}
        return members if self.last_valid_byte < 0 else {**members, "lastValidByteReceived": self.last_valid_byte}


class LayerPartTooSmall(MoorageError):
    code = "LayerPartTooSmallException"

    def __init__(self) -> None:
        super().__init__("All layer parts except the last part should be at least 5MB")


class EmptyUpload(MoorageError):
    code = "EmptyUploadException"

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"The upload with id '{upload_id}' has received no layer parts")


class UploadRangeInvalid(MoorageError):
    """A chunk that does not start where the upload ends (/v2/ only; 416 with the current Range)."""

    code = "BLOB_UPLOAD_INVALID"
    status = 416

    def __init__(self, upload_id: str, offset: int) -> None:
        super().__init__(f"the chunk does not start at byte {offset}, where the upload ends")
        self.upload_id = upload_id
        self.offset = offset
        """Bytes received so far."""


class UploadTakenOver(UploadRangeInvalid):
    """A chunk whose body stalled until another request continued the upload. None of its bytes are stored."""

    def __init__(self, upload_id: str, offset: int) -> None:
        super().__init__(upload_id, offset)
        self.message = (
            f"Another request continued the upload at byte {offset}, because this one had stopped sending. Get the "
            "status of the upload, and continue from there."
        )


class BodyIncomplete(MoorageError):
    """The client disconnected, or sent fewer bytes than it announced. The upload keeps what arrived."""

    code = "SIZE_INVALID"
    status = 400

    def __init__(self) -> None:
        super().__init__("the body ended before the announced length")
