"""Every error a client can see: one class, code, status and message each.

An ECR error is raised anywhere below the doors and turned into bytes in one place per door: the AWS door writes
`{"__type": code, "message": message}`, the /v2/ door maps the class to its OCI code (`api/oci/errors.py`).
Wording and marks of certainty: ecr-behaviour.md (§3.1, §4-§9, §15) and policy-engine.md (§1.3, §7.2).
"""

from collections.abc import Mapping, Sequence

from moorage.names import AccountId, RepositoryRef


class MoorageError(Exception):
    """A refusal that a client is told of. `str(error)` is the message it reads."""

    code: str = "ServerException"
    status: int = 400

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def members(self) -> Mapping[str, object]:
        """Further members of the error's JSON body, by their wire names."""
        return {}


def _in_registry(ref: RepositoryRef) -> str:
    return f"repository with name '{ref.name}' in the registry with id '{ref.account}'"


# --- What every AWS service answers (front end, authentication, authorisation) ---


class AccessDenied(MoorageError):
    """The policy engine said no. `decision_id` names the recorded decision."""

    code = "AccessDeniedException"

    def __init__(self, message: str, decision_id: str = "", *, short: str = "") -> None:
        super().__init__(message)
        self.decision_id = decision_id
        self.short = short or message


class MissingAuthenticationToken(MoorageError):
    code = "MissingAuthenticationTokenException"

    def __init__(self) -> None:
        super().__init__("Missing Authentication Token")


class IncompleteSignature(MoorageError):
    code = "IncompleteSignatureException"


class InvalidSignature(MoorageError):
    code = "InvalidSignatureException"


class UnrecognizedClient(MoorageError):
    code = "UnrecognizedClientException"

    def __init__(self) -> None:
        super().__init__("The security token included in the request is invalid.")


class ExpiredToken(MoorageError):
    code = "ExpiredTokenException"

    def __init__(self) -> None:
        super().__init__("The security token included in the request is expired")


class AuthorizationTokenExpired(MoorageError):
    """A registry password past its life (data plane only)."""

    code = "DENIED"
    status = 403

    def __init__(self) -> None:
        super().__init__("Your authorization token has expired. Reauthenticate and try again.")


class AuthorizationTokenInvalid(MoorageError):
    """No credential, or one that is not good (data plane only); ECR answers in plain text."""

    code = "UNAUTHORIZED"
    status = 401

    def __init__(self) -> None:
        super().__init__("Not Authorized")


class UnknownOperation(MoorageError):
    code = "UnknownOperationException"


class Serialization(MoorageError):
    code = "SerializationException"


class RequestTooLarge(MoorageError):
    """The body is longer than the operation takes; it was refused before it was read whole."""

    code = "RequestEntityTooLargeException"
    status = 413


class RequestTimeout(MoorageError):
    """The body arrived too slowly. botocore retries a request that is refused with this code."""

    code = "RequestTimeoutException"
    status = 408

    def __init__(self) -> None:
        super().__init__("The body of the request did not arrive in time.")


class Throttling(MoorageError):
    code = "ThrottlingException"

    def __init__(self) -> None:
        super().__init__("Rate exceeded")


class ServerFault(MoorageError):
    """Something broke on our side; the text says nothing of the inside."""

    code = "ServerException"
    status = 500

    def __init__(self, message: str = "An internal error occurred. Try again.") -> None:
        super().__init__(message)


class ServiceUnavailable(ServerFault):
    """Not now; a client should try again. Only dev mode's faults say so."""

    code = "ServiceUnavailableException"
    status = 503

    def __init__(self) -> None:
        super().__init__("The service is unavailable. Try again.")


class UploadBusy(ServerFault):
    """Another request adds bytes to the upload, and has done so for as long as this one has waited."""

    code = "ServiceUnavailableException"
    status = 503

    def __init__(self, upload_id: str) -> None:
        super().__init__(
            f"Another request is still sending bytes of the upload '{upload_id}'. Try again when it has ended, or "
            "cancel the upload."
        )


class InsufficientStorage(ServerFault):
    """The disk (or the database's) is full; nothing was changed."""

    status = 507

    def __init__(self) -> None:
        super().__init__("The registry has no room left to store this. Nothing was changed.")


# --- Parameters ---


class InvalidParameter(MoorageError):
    """Family A of ecr-behaviour.md §3.1."""

    code = "InvalidParameterException"

    @classmethod
    def at(cls, path: str, constraint: str) -> "InvalidParameter":
        """`path` as the client wrote it (or ECR's capitalised inner name); `constraint` without quotes."""
        return cls(f"Invalid parameter at '{path}' failed to satisfy constraint: '{constraint}'")


class ValidationFailed(MoorageError):
    """Family B of ecr-behaviour.md §3.1."""

    code = "ValidationException"


class UnstorableText(MoorageError):
    """A text that no column can hold: with a NUL character, or half of a surrogate pair. Nothing was changed.

    The net under the checks of each operation, which say more exactly what is wrong.
    """

    code = "InvalidParameterException"

    def __init__(self) -> None:
        super().__init__("A parameter holds a character that is none.")


class InvalidTagParameter(MoorageError):
    code = "InvalidTagParameterException"

    def __init__(self, message: str = "Tag parameters are invalid") -> None:
        super().__init__(message)


class TooManyTags(MoorageError):
    code = "TooManyTagsException"


class LimitExceeded(MoorageError):
    code = "LimitExceededException"


# --- Repositories and their policies ---


class RepositoryNotFound(MoorageError):
    code = "RepositoryNotFoundException"

    def __init__(self, ref: RepositoryRef) -> None:
        super().__init__(
            f"The repository with name '{ref.name}' does not exist in the registry with id '{ref.account}'"
        )


class RepositoryNotDeleted(RepositoryNotFound):
    """There is none to be restored or purged; one that exists is no such."""

    def __init__(self, ref: RepositoryRef) -> None:
        MoorageError.__init__(
            self, f"No deleted repository with name '{ref.name}' is kept in the registry with id '{ref.account}'"
        )


class RepositoryAlreadyExists(MoorageError):
    code = "RepositoryAlreadyExistsException"

    def __init__(self, ref: RepositoryRef) -> None:
        super().__init__(
            f"The repository with name '{ref.name}' already exists in the registry with id '{ref.account}'"
        )


class RepositoryNotEmpty(MoorageError):
    code = "RepositoryNotEmptyException"

    def __init__(self, ref: RepositoryRef) -> None:
        super().__init__(
            f"The repository with name '{ref.name}' in registry with id '{ref.account}' "
            "cannot be deleted because it still contains images"
        )


class RepositoryPolicyNotFound(MoorageError):
    code = "RepositoryPolicyNotFoundException"

    def __init__(self, ref: RepositoryRef) -> None:
        super().__init__(f"Repository policy does not exist for the {_in_registry(ref)}")


class RegistryPolicyNotFound(MoorageError):
    code = "RegistryPolicyNotFoundException"

    def __init__(self, account: AccountId) -> None:
        super().__init__(f"Registry policy does not exist in the registry with id '{account}'")


# --- Layers and uploads ---


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
            f"{_in_registry(ref)} do not exist"
        )


class LayerReferenced(MoorageError):
    """A layer cannot be deleted, because an image needs it. ECR deletes no layers at all."""

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
            f"The layer with digest '{layer_digest}' in the {_in_registry(ref)} is not accessible "
            "because no image references it"
        )


class LayerAlreadyExists(MoorageError):
    code = "LayerAlreadyExistsException"

    def __init__(self, ref: RepositoryRef, layer_digest: str) -> None:
        super().__init__(f"The layer with digest '{layer_digest}' already exists in the {_in_registry(ref)}")


class UploadNotFound(MoorageError):
    code = "UploadNotFoundException"

    def __init__(self, ref: RepositoryRef, upload_id: str) -> None:
        super().__init__(f"The upload with id '{upload_id}' could not be found in the {_in_registry(ref)}")


class TooManyUploads(LimitExceeded):
    """A quota of open uploads is used up: of how many there are, or of their bytes. It is free again as they end."""


class InvalidLayer(MoorageError):
    """The bytes received are not what the digest says."""

    code = "InvalidLayerException"


class InvalidLayerPart(MoorageError):
    code = "InvalidLayerPartException"

    def __init__(self, ref: RepositoryRef, upload_id: str, last_valid_byte: int, detail: str) -> None:
        super().__init__(f"Layer part invalid for upload id '{upload_id}': {detail}")
        self.ref = ref
        self.upload_id = upload_id
        self.last_valid_byte = last_valid_byte
        """Index of the last byte received (inclusive); -1 when there is none, which is left out of the response: the
        model's minimum is 0."""

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
    """A chunk that does not start where the upload ends (data plane; 416 with the true Range)."""

    code = "BLOB_UPLOAD_INVALID"
    status = 416

    def __init__(self, upload_id: str, offset: int) -> None:
        super().__init__(f"the chunk does not start at byte {offset}, where the upload ends")
        self.upload_id = upload_id
        self.offset = offset
        """Bytes received so far."""


class UploadTakenOver(UploadRangeInvalid):
    """A chunk whose body stalled, until another request continued the upload. None of its bytes are kept."""

    def __init__(self, upload_id: str, offset: int) -> None:
        super().__init__(upload_id, offset)
        self.message = (
            f"Another request continued the upload at byte {offset}, because this one had stopped sending. Ask for the "
            "state of the upload, and continue there."
        )


class BodyIncomplete(MoorageError):
    """The client went away, or sent fewer bytes than it announced. What arrived stays in the upload."""

    code = "SIZE_INVALID"
    status = 400

    def __init__(self) -> None:
        super().__init__("the body ended before the announced length")


# --- Images ---


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
        """Nothing to be restored or purged."""
        return cls(
            f"No deleted image with digest '{image_digest}' is kept in the repository with name '{ref.name}' in the "
            f"registry with id '{ref.account}'"
        )

    @classmethod
    def tagged_before(cls, ref: RepositoryRef, image_tag: str) -> "ImageNotFound":
        """Nothing that the tag could be pointed at again."""
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
    """Deleting a child of an index; ECR reports it per image (or as 405 UNSUPPORTED on the data plane)."""

    code = "ImageReferencedByManifestListException"

    def __init__(self, parents: Sequence[str]) -> None:
        super().__init__(f"Requested image referenced by manifest list: [{', '.join(parents)}]")


class ReferencedImagesNotFound(MoorageError):
    code = "ReferencedImagesNotFoundException"

    def __init__(self, ref: RepositoryRef, image_digests: Sequence[str]) -> None:
        super().__init__(
            f"Images with digests '[{', '.join(image_digests)}]' required for pushing image into "
            f"{_in_registry(ref)} do not exist"
        )


# --- IAM and STS (Query protocol; status as those services answer) ---


class QueryError(MoorageError):
    """An error of IAM or STS with its own code, e.g. `NoSuchEntity` (404)."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class AccountNotFound(MoorageError):
    """`serve` knows only the accounts that were made."""

    code = "UnrecognizedClientException"

    def __init__(self, account: AccountId) -> None:
        super().__init__(f"No account with id '{account}' is kept here.")
