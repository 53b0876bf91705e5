"""The form fields of IAM's operations, held against the constraints of its service model."""

import re
from collections.abc import Sequence
from typing import Final

from moorage.api.aws.query import Parameters, checked, checked_number, invalid
from moorage.errors import QueryError
from moorage.identity.principals.tags import is_tag_text

NAME: Final = re.compile(r"[\w+=,.@-]+", re.ASCII)
"""What names of users, groups, roles and policies are made of, and ids of keys."""
_PATH: Final = re.compile(r"/|/[!-~]+/")
_PREFIX: Final = re.compile(r"/[!-\x7f]*")
_POLICY_PATH: Final = re.compile(r"((/[A-Za-z0-9.,+@=_-]+)*)/")
_KEY_ID: Final = re.compile(r"\w+", re.ASCII)
_DOCUMENT: Final = re.compile(r"[\t\n\r\x20-\xff]+")
_DESCRIPTION: Final = re.compile(r"[\t\n\r\x20-\x7e\xa1-\xff]*")
_POLICY_ARN: Final = re.compile(r"arn:[^:]+:iam::(?:[0-9]{12}|aws):policy/.+", re.DOTALL)
_VERSION: Final = re.compile(r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?")
ANY: Final = re.compile(r".*", re.DOTALL)
_STATUSES: Final = ("Active", "Inactive")
_TAGS: Final = 50


def new_name(request: Parameters, field: str) -> str:
    """The name of a user or role to be."""
    return checked(field, request.required(field), NAME, 1, 64)


def name(request: Parameters, field: str, most: int = 128) -> str:
    """A name that must be given."""
    return checked(field, request.required(field), NAME, 1, most)


def optional_name(request: Parameters, field: str, most: int = 128) -> str | None:
    return None if request.get(field) is None else name(request, field, most)


def path(request: Parameters, field: str = "Path") -> str:
    given = request.get(field)
    return "/" if given is None else checked(field, given, _PATH, 1, 512)


def policy_path(request: Parameters) -> str:
    given = request.get("Path")
    return "/" if given is None else checked("Path", given, _POLICY_PATH, 1, 512)


def path_prefix(request: Parameters) -> str:
    given = request.get("PathPrefix")
    return "/" if given is None else checked("PathPrefix", given, _PREFIX, 1, 512)


def key_id(request: Parameters) -> str:
    return checked("AccessKeyId", request.required("AccessKeyId"), _KEY_ID, 16, 128)


def public_key_id(request: Parameters) -> str:
    return checked("SSHPublicKeyId", request.required("SSHPublicKeyId"), _KEY_ID, 20, 128)


def document(request: Parameters, field: str = "PolicyDocument") -> str:
    return document_text(field, request.required(field))


def document_text(field: str, text: str) -> str:
    return checked(field, text, _DOCUMENT, 1, 131072)


def arn(request: Parameters, field: str = "PolicyArn") -> str:
    return checked(field, request.required(field), ANY, 20, 2048)


def policy_arn(request: Parameters) -> str:
    """Return PolicyArn. Raises ValidationError unless it has the form of a managed policy's ARN."""
    given = arn(request)
    if _POLICY_ARN.fullmatch(given) is None:
        raise QueryError("ValidationError", "Invalid ARN:  Could not be parsed!")  # the two spaces are AWS's
    return given


def optional_arn(request: Parameters, field: str) -> str | None:
    return None if request.get(field) is None else arn(request, field)


def optional_caller(request: Parameters) -> str | None:
    """CallerArn of a simulation."""
    given = request.get("CallerArn")
    return None if given is None else checked("CallerArn", given, ANY, 1, 2048)


def description(request: Parameters) -> str | None:
    """Of a role."""
    given = request.get("Description")
    return None if given is None else checked("Description", given, _DESCRIPTION, 0, 1000)


def policy_description(request: Parameters) -> str:
    return checked("Description", request.get("Description") or "", ANY, 0, 1000)


def version(request: Parameters) -> int:
    """The number of a policy version (`v3`)."""
    text = checked("VersionId", request.required("VersionId"), _VERSION, 1, 32)
    return int(text.removeprefix("v").partition(".")[0])


def session_seconds(request: Parameters) -> int | None:
    """MaxSessionDuration of a role."""
    return integer(request, "MaxSessionDuration", 3600, 43200)


def integer(request: Parameters, field: str, least: int, most: int) -> int | None:
    given = request.integer(field)
    if given is None:
        return None
    if given < least:
        raise invalid(field, str(given), f"Member must have value greater than or equal to {least}")
    if given > most:
        raise invalid(field, str(given), f"Member must have value less than or equal to {most}")
    return given


def choice(request: Parameters, field: str, choices: Sequence[str]) -> str | None:
    given = request.get(field)
    if given is not None and given not in choices:
        raise invalid(field, given, f"Member must satisfy enum value set: [{', '.join(choices)}]")
    return given


def active(request: Parameters) -> bool:
    """Status; `Expired`, which the model also lists, cannot be set [guess]."""
    request.required("Status")
    return choice(request, "Status", _STATUSES) == "Active"


def tags(request: Parameters) -> dict[str, str]:
    """Tags by key. InvalidInput when a key is there twice, whatever its case, or is AWS's own."""
    found: dict[str, str] = {}
    structures = request.structures("Tags")
    checked_number(
        "Tags", [f"{{key={tag.required('Key')}, value={tag.required('Value')}}}" for tag in structures], _TAGS
    )
    for tag in structures:
        key = tag_text("Tags.Key", tag.required("Key"), 1, 128)
        value = tag_text("Tags.Value", tag.required("Value"), 0, 256)
        if key.lower().startswith("aws:"):
            raise QueryError("InvalidInput", "Tag keys starting with 'aws:' are reserved for system use.")
        if key.lower() in {each.lower() for each in found}:
            raise QueryError(
                "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        found[key] = value
    return found


def tag_keys(request: Parameters) -> list[str]:
    keys = request.members("TagKeys")
    checked_number("TagKeys", keys, _TAGS)
    return [tag_text("TagKeys", key, 1, 128) for key in keys]


def tag_text(field: str, text: str, least: int, most: int) -> str:
    checked(field, text, ANY, least, most)
    if not is_tag_text(text):
        pattern = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]" + ("+" if least else "*")
        raise invalid(field, text, f"Member must satisfy regular expression pattern: {pattern}")
    return text
