"""Checks of what clients send about repositories, as far as they need no stored state."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from moorage.errors import InvalidParameter, InvalidTagParameter, TooManyTags
from moorage.locations import Locations
from moorage.names import RepositoryRef

MAX_TAGS: Final = 50
MAX_FILTERS: Final = 5
_FILTER: Final = re.compile(r"[0-9a-zA-Z._*-]{1,128}")
_WITH_EXCLUSION: Final = ("IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")


def check_creatable(ref: RepositoryRef) -> None:
    """Raise InvalidParameter if the name reads as a path to another registry (`ACCOUNT/REGION/NAME`)."""
    if Locations.is_path_form(ref.name):
        raise InvalidParameter.at("repositoryName", "must not begin with an account id and a region")


def check_filters(mutability: str, filters: Sequence[str]) -> None:
    """Raise InvalidParameter unless the exclusion filters are valid, and given exactly with a _WITH_EXCLUSION mode."""
    path = "imageTagMutabilityExclusionFilters"
    if mutability in _WITH_EXCLUSION and not filters:
        raise InvalidParameter.at(
            path, f"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {mutability}"
        )
    if filters and mutability not in _WITH_EXCLUSION:
        raise InvalidParameter.at(
            path,
            f"ImageTagMutabilityExclusionFilters can't be specified when imageTagMutability is set as {mutability}",
        )
    if len(filters) > MAX_FILTERS:
        raise InvalidParameter.at(path, f"Member must have length less than or equal to {MAX_FILTERS}")
    for position, each in enumerate(filters, 1):
        if _FILTER.fullmatch(each) is None or each.count("*") > 2:
            raise InvalidParameter.at(
                f"{path}.{position}.member.filter", "must satisfy regular expression '^[0-9a-zA-Z._*-]{1,128}$'"
            )


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise InvalidTagParameter or TooManyTags unless these are valid resource tags of one repository.

    The rules are ECR's (docs/development/ecr-behavior.md §4), and IAM's for keys that differ only in case: condition
    keys ignore case (`aws:ResourceTag/env`), so one of two such tags would hide the other from policies.
    """
    if len({key.lower() for key in tags}) < len(tags):
        raise InvalidTagParameter
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise InvalidTagParameter
        if not _is_tag_text(key) or not _is_tag_text(value):
            raise InvalidTagParameter
    if len(tags) > MAX_TAGS:
        raise TooManyTags(f"The maximum number of tags of a repository is {MAX_TAGS}")


def check_tag_keys(keys: Sequence[str]) -> None:
    """Raise InvalidTagParameter if one of the keys cannot be the key of a tag."""
    if not all(map(_is_tag_text, keys)):
        raise InvalidTagParameter


def _is_tag_text(text: str) -> bool:
    """Letters, digits and spaces of any script and `_ . : / = + - @`, as AWS documents for tags of all its services."""
    return all(each in "_.:/=+-@" or unicodedata.category(each)[0] in "LNZ" for each in text)
