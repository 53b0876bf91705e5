"""Errors of a server that cannot do what was asked at the moment."""

from moorage.errors.base import MoorageError


class Throttling(MoorageError):
    code = "ThrottlingException"

    def __init__(self) -> None:
        super().__init__("Rate exceeded")


class ServerFault(MoorageError):
    """An internal error. The message reveals nothing about its cause."""

    code = "ServerException"
    status = 500

    def __init__(self, message: str = "An internal error occurred. Try again.") -> None:
        super().__init__(message)


class ServiceUnavailable(ServerFault):
    """A temporary failure that clients should retry. Only faults injected in dev mode raise it."""

    code = "ServiceUnavailableException"
    status = 503

    def __init__(self) -> None:
        super().__init__("The service is unavailable. Try again.")


class UploadBusy(ServerFault):
    """Another request was appending to the upload for as long as this one waited."""

    code = "ServiceUnavailableException"
    status = 503

    def __init__(self, upload_id: str) -> None:
        super().__init__(
            f"Another request is still sending bytes of the upload '{upload_id}'. Try again when it has ended, or "
            "cancel the upload."
        )


class InsufficientStorage(ServerFault):
    """The disk of the blobs or of the database is full. Nothing was changed."""

    status = 507

    def __init__(self) -> None:
        super().__init__("The registry has no room left to store this. Nothing was changed.")
