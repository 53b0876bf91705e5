"""IAM's errors about identities: codes and statuses of the botocore model, with AWS's messages."""

from moorage.errors import QueryError


def no_such(message: str) -> QueryError:
    return QueryError("NoSuchEntity", message, 404)


def no_entity(kind: str, name: str) -> QueryError:
    """Return NoSuchEntity for a `user`, `group` or `role` (`kind`)."""
    return no_such(f"The {kind} with name {name} cannot be found.")


def no_key(key_id: str) -> QueryError:
    return no_such(f"The Access Key with id {key_id} cannot be found.")


def no_managed_policy(arn: str) -> QueryError:
    return no_such(f"Policy {arn} was not found.")


def not_attachable(arn: str) -> QueryError:
    return no_such(f"Policy {arn} does not exist or is not attachable.")


def already_exists(message: str) -> QueryError:
    return QueryError("EntityAlreadyExists", message, 409)


def delete_conflict(message: str) -> QueryError:
    return QueryError("DeleteConflict", message, 409)


def limit_exceeded(quota: str, value: int) -> QueryError:
    return over_limit(f"Cannot exceed quota for {quota}: {value}")


def over_limit(message: str) -> QueryError:
    return QueryError("LimitExceeded", message, 409)


def invalid_input(message: str) -> QueryError:
    return QueryError("InvalidInput", message)


def unmodifiable(message: str) -> QueryError:
    return QueryError("UnmodifiableEntity", message)
