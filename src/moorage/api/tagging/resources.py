"""GetResources: the tagged repositories of a registry, by tags, type or ARN."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from moorage.api.tagging import arns, shapes
from moorage.api.tagging.service import TaggingCall, after_token, next_token
from moorage.errors import InvalidParameter
from moorage.pages import Room
from moorage.registry.repositories.resource_tags import TaggedRepository

_PER_PAGE: Final = 50
"""Resources in a page, unless the request has ResourcesPerPage."""
_TYPES: Final = frozenset({"ecr", "ecr:repository"})
"""Values of ResourceTypeFilters that match repositories."""
_MOST_TYPES: Final = 100
_COMPLIANT: Final = shapes.ComplianceDetails(
    noncompliant_keys=[], keys_with_noncompliant_values=[], missing_tag_keys=[], compliance_status=True
)
"""Moorage has no tag policies, so everything complies with them."""

_encode = msgspec.json.Encoder().encode


async def get_resources(call: TaggingCall, request: shapes.GetResourcesInput) -> shapes.GetResourcesOutput:
    per_page, tags_per_page = _limits(request)
    matches = _matcher(request.tag_filters or ())
    if request.exclude_compliant_resources and not request.include_compliance_details:
        raise InvalidParameter("ExcludeCompliantResources can be true only if IncludeComplianceDetails is true.")
    if request.resource_arn_list is not None:
        return await _named(call, request, request.resource_arn_list)
    bound = ("GetResources", _digest_of(request))
    after = after_token(call, bound, request.pagination_token)
    types = request.resource_type_filters
    if request.exclude_compliant_resources or (types and _TYPES.isdisjoint(types)):
        return shapes.GetResourcesOutput(pagination_token="", resource_tag_mapping_list=[])
    found: list[shapes.ResourceTagMapping] = []
    room, tags_left = Room(per_page), tags_per_page

    def takes(each: TaggedRepository) -> bool:
        nonlocal tags_left
        if not matches(each.tags):
            return True
        mapping = _mapping(each, request)
        tags_left -= len(each.tags)
        if (found and tags_left < 0) or not room.takes(len(_encode(mapping))):
            return False
        found.append(mapping)
        return True

    following = await call.services.registry.resource_tags.scan(call.account, call.region, after, takes)
    return shapes.GetResourcesOutput(
        pagination_token=next_token(call, bound, following), resource_tag_mapping_list=found
    )


async def _named(
    call: TaggingCall, request: shapes.GetResourcesInput, given: Sequence[str]
) -> shapes.GetResourcesOutput:
    """Return the repositories with these ARNs, without those that do not exist or have no tags."""
    for member, value in (
        ("TagFilters", request.tag_filters),
        ("ResourceTypeFilters", request.resource_type_filters),
        ("ResourcesPerPage", request.resources_per_page),
        ("TagsPerPage", request.tags_per_page),
        ("PaginationToken", request.pagination_token),
    ):
        if value:
            raise InvalidParameter(f"ResourceARNList and {member} cannot be used in the same request.")
    found: list[shapes.ResourceTagMapping] = []
    for arn in dict.fromkeys(map(arns.checked, given)):
        ref = arns.repository_of(call, arn)
        state = None if ref is None else await call.services.registry.repositories.state(ref)
        if ref is not None and state is not None and state.tags and not request.exclude_compliant_resources:
            found.append(_mapping(TaggedRepository(ref, state.tags), request))
    return shapes.GetResourcesOutput(pagination_token="", resource_tag_mapping_list=found)


def _limits(request: shapes.GetResourcesInput) -> tuple[int, int]:
    """Return how many resources and how many tags a page may have, as AWS documents them. Raises InvalidParameter."""
    resources, tags = request.resources_per_page, request.tags_per_page
    if resources is not None and not 1 <= resources <= 100:
        raise InvalidParameter("ResourcesPerPage must be at least 1 and at most 100.")
    if tags is not None and not 100 <= tags <= 500:
        raise InvalidParameter("TagsPerPage must be at least 100 and at most 500.")
    if len(request.resource_type_filters or ()) > _MOST_TYPES:
        raise InvalidParameter(f"ResourceTypeFilters can have at most {_MOST_TYPES} items.")
    return resources or _PER_PAGE, tags or 500


def _matcher(filters: Sequence[shapes.TagFilter]) -> Callable[[Mapping[str, str]], bool]:
    """Return what decides whether tags match every filter: its key and, if it has values, one of them."""
    wanted: list[tuple[str, frozenset[str]]] = []
    for each in filters:
        if each.key is None:
            raise InvalidParameter("A tag filter needs a Key.")
        wanted.append((each.key, frozenset(each.values or ())))
    return lambda tags: all(key in tags and (not values or tags[key] in values) for key, values in wanted)


def _digest_of(request: shapes.GetResourcesInput) -> str:
    """Return a digest of everything in the request but its token, which is valid for the same request only."""
    rest = msgspec.structs.replace(request, pagination_token=None)
    return hashlib.sha256(_encode(rest)).hexdigest()


def _mapping(each: TaggedRepository, request: shapes.GetResourcesInput) -> shapes.ResourceTagMapping:
    return shapes.ResourceTagMapping(
        resource_arn=each.ref.arn,
        tags=[shapes.Tag(key=key, value=value) for key, value in sorted(each.tags.items())],
        compliance_details=_COMPLIANT if request.include_compliance_details else None,
    )
