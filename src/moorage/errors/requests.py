"""Errors about a request as a whole, or about the values of its parameters."""

from moorage.errors.base import MoorageError


class UnknownOperation(MoorageError):
    code = "UnknownOperationException"


class Serialization(MoorageError):
    code = "SerializationException"


class RequestTooLarge(MoorageError):
    """The body is longer than the operation accepts; it is refused before all of it is read."""

    code = "RequestEntityTooLargeException"
    status = 413


class RequestTimeout(MoorageError):
    """The body arrived too slowly. botocore retries requests that fail with this code."""

    code = "RequestTimeoutException"
    status = 408

    def __init__(self) -> None:
        super().__init__("The body of the request did not arrive in time.")


class InvalidParameter(MoorageError):
    """Family A of the validation errors (docs/development/ecr-behavior.md §3.1)."""

    code = "InvalidParameterException"

    @classmethod
    def at(cls, path: str, constraint: str) -> "InvalidParameter":
        """Return the error for one parameter.

        `path`: the parameter as the client wrote it, or ECR's capitalized internal name. `constraint`: without quotes.
        """
        return cls(f"Invalid parameter at '{path}' failed to satisfy constraint: '{constraint}'")


class ValidationFailed(MoorageError):
    """Family B of the validation errors (docs/development/ecr-behavior.md §3.1)."""

    code = "ValidationException"


class UnstorableText(MoorageError):
    """A text that no column can store, because it contains a NUL character or an unpaired surrogate.

    The checks of each operation report such texts more precisely; this catches what they miss. Nothing was changed.
    """

    code = "InvalidParameterException"

    def __init__(self) -> None:
        super().__init__("A parameter contains a character that is not valid Unicode.")


class InvalidTagParameter(MoorageError):
    code = "InvalidTagParameterException"

    def __init__(self, message: str = "Tag parameters are invalid") -> None:
        super().__init__(message)


class TooManyTags(MoorageError):
    code = "TooManyTagsException"


class LimitExceeded(MoorageError):
    code = "LimitExceededException"
