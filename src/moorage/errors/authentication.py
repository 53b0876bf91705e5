"""Errors of authentication and authorization."""

from moorage.errors.base import MoorageError
from moorage.names import AccountId


class AccessDenied(MoorageError):
    """The policy engine denied the request. `decision_id` identifies the recorded decision."""

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
    """An expired registry password (/v2/ only)."""

    code = "DENIED"
    status = 403

    def __init__(self) -> None:
        super().__init__("Your authorization token has expired. Reauthenticate and try again.")


class AuthorizationTokenInvalid(MoorageError):
    """A missing or invalid credential (/v2/ only); ECR responds in plain text."""

    code = "UNAUTHORIZED"
    status = 401

    def __init__(self) -> None:
        super().__init__("Not Authorized")


class AccountNotFound(MoorageError):
    """The account does not exist. `moorage serve` accepts only accounts that were created."""

    code = "UnrecognizedClientException"

    def __init__(self, account: AccountId) -> None:
        super().__init__(f"This registry has no account with id '{account}'.")
