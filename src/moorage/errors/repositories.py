"""Errors about repositories and their policies, and about registry policies."""

from moorage.errors.base import MoorageError, in_registry
from moorage.names import AccountId, RepositoryRef


class RepositoryNotFound(MoorageError):
    code = "RepositoryNotFoundException"

    def __init__(self, ref: RepositoryRef) -> None:
        super().__init__(
            f"The repository with name '{ref.name}' does not exist in the registry with id '{ref.account}'"
        )


class RepositoryNotDeleted(RepositoryNotFound):
    """The trash contains no repository of that name. One that exists cannot be restored or purged."""

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
        super().__init__(f"Repository policy does not exist for the {in_registry(ref)}")


class RegistryPolicyNotFound(MoorageError):
    code = "RegistryPolicyNotFoundException"

    def __init__(self, account: AccountId) -> None:
        super().__init__(f"Registry policy does not exist in the registry with id '{account}'")
