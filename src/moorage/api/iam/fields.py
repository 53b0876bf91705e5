"""The form fields of IAM's operations, held against the constraints of its service model."""

import re
from typing import Final

from moorage.api.aws.query import Parameters, invalid

NAME: Final = re.compile(r"[\w+=,.@-]+", re.ASCII)
"""What names of users and policies, and ids of keys, are made of."""
_PATH: Final = re.compile(r"/|/[!-~]+/")
_PREFIX: Final = re.compile(r"/[!-\x7f]*")
_KEY_ID: Final = re.compile(r"\w+", re.ASCII)
_DOCUMENT: Final = re.compile(r"[\t\n\r\x20-\xff]+")
_STATUSES: Final = ("Active", "Inactive")


def new_user_name(request: Parameters) -> str:
    return _checked("UserName", request.required("UserName"), NAME, 1, 64)


def name(request: Parameters, field: str) -> str:
    """The name of a user or policy that must be given."""
    return _checked(field, request.required(field), NAME, 1, 128)


def optional_name(request: Parameters, field: str) -> str | None:
    return None if request.get(field) is None else name(request, field)


def path(request: Parameters) -> str:
    given = request.get("Path")
    return "/" if given is None else _checked("Path", given, _PATH, 1, 512)


def path_prefix(request: Parameters) -> str:
    given = request.get("PathPrefix")
    return "/" if given is None else _checked("PathPrefix", given, _PREFIX, 1, 512)


def key_id(request: Parameters) -> str:
    return _checked("AccessKeyId", request.required("AccessKeyId"), _KEY_ID, 16, 128)


def document(request: Parameters) -> str:
    return _checked("PolicyDocument", request.required("PolicyDocument"), _DOCUMENT, 1, 131072)


def active(request: Parameters) -> bool:
    """Status; `Expired`, which the model also lists, cannot be set [guess]."""
    status = request.required("Status")
    if status not in _STATUSES:
        raise invalid("Status", status, f"Member must satisfy enum value set: [{', '.join(_STATUSES)}]")
    return status == "Active"


def _checked(field: str, value: str, pattern: re.Pattern[str], least: int, most: int) -> str:
    if len(value) < least:
        raise invalid(field, value, f"Member must have length greater than or equal to {least}")
    if len(value) > most:
        raise invalid(field, value, f"Member must have length less than or equal to {most}")
    if pattern.fullmatch(value) is None:
        raise invalid(field, value, f"Member must satisfy regular expression pattern: {pattern.pattern}")
    return value
