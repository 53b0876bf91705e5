"""IAM's refusals about identities: codes and statuses of the botocore model, AWS's sentences."""

from moorage.errors import QueryError


def no_such(message: str) -> QueryError:
    return QueryError("NoSuchEntity", message, 404)


def no_user(name: str) -> QueryError:
    return no_such(f"The user with name {name} cannot be found.")


def no_key(key_id: str) -> QueryError:
    return no_such(f"The Access Key with id {key_id} cannot be found.")


def already_exists(message: str) -> QueryError:
    return QueryError("EntityAlreadyExists", message, 409)


def delete_conflict(message: str) -> QueryError:
    return QueryError("DeleteConflict", message, 409)


def limit_exceeded(quota: str, value: int) -> QueryError:
    return QueryError("LimitExceeded", f"Cannot exceed quota for {quota}: {value}", 409)
