"""The base class of every error that a client can see."""

from collections.abc import Mapping

from moorage.names import RepositoryRef


class MoorageError(Exception):
    """An error that is returned to the client. `str(error)` is the message in the response."""

    code: str = "ServerException"
    status: int = 400

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def members(self) -> Mapping[str, object]:
        """Return further members of the JSON body of the error, by their names on the wire."""
        return {}


class QueryError(MoorageError):
    """An error of IAM or STS with its code and HTTP status, such as `NoSuchEntity` and 404."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def in_registry(ref: RepositoryRef) -> str:
    """Return how ECR's messages name a repository."""
    return f"repository with name '{ref.name}' in the registry with id '{ref.account}'"
