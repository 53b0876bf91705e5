"""CreateRepository, DescribeRepositories, DeleteRepository, and the settings of a repository.

See docs/development/ecr-behavior.md §4.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Final

from moorage.access.operations import Conditions, tag_conditions
from moorage.access.resources import RegistryResource, Resource
from moorage.api.ecr import shapes
from moorage.api.ecr.pages import DEFAULT_PAGE, after_token, next_token
from moorage.api.ecr.service import EcrCall, by, ref_of
from moorage.errors import InvalidParameter, InvalidTagParameter
from moorage.names import AccountId, RepositoryName, RepositoryRef
from moorage.pages import Room
from moorage.registry.repositories.types import Encryption, Repository

_ENTRY: Final = 2560
"""Most bytes of a repository in a response, without its KMS key. The key may have any 2,048 characters, so six times as
many bytes."""


def tags_of(tags: Sequence[shapes.Tag] | None) -> Mapping[str, str]:
    """Return the tags of a request by key. Raise InvalidTagParameter if a key is repeated."""
    by_key = {tag.key: tag.value for tag in tags or ()}
    if len(by_key) != len(tags or ()):
        raise InvalidTagParameter
    return by_key


def request_tags(tags: Sequence[shapes.Tag] | None) -> Conditions:
    """Return the condition keys aws:RequestTag/KEY and aws:TagKeys of a request with `tags`."""
    return tag_conditions((tag.key, tag.value) for tag in tags or ())


def created_tags(_call: EcrCall, request: shapes.CreateRepositoryRequest) -> Conditions:
    return request_tags(request.tags)


async def create_repository(call: EcrCall, request: shapes.CreateRepositoryRequest) -> shapes.CreateRepositoryResponse:
    scanning, encryption = request.image_scanning_configuration, request.encryption_configuration
    repository = await call.services.registry.repositories.create(
        ref_of(call, request),
        mutability=request.image_tag_mutability or "MUTABLE",
        exclusion_filters=_filters(request.image_tag_mutability_exclusion_filters),
        scan_on_push=bool(scanning and scanning.scan_on_push),
        encryption=Encryption() if encryption is None else Encryption(encryption.encryption_type, encryption.kms_key),
        tags=tags_of(request.tags),
        by=by(call),
    )
    return shapes.CreateRepositoryResponse(repository=_repository(call, repository))


def described_repositories(call: EcrCall, request: shapes.DescribeRepositoriesRequest) -> Sequence[Resource]:
    account = AccountId(request.registry_id or call.account)
    if not request.repository_names:
        return (RegistryResource(account, call.region, all_repositories=True),)
    names = dict.fromkeys(request.repository_names)
    return [RepositoryRef(account, call.region, RepositoryName(name)) for name in names]


async def describe_repositories(
    call: EcrCall, request: shapes.DescribeRepositoriesRequest
) -> shapes.DescribeRepositoriesResponse:
    repositories = call.services.registry.repositories
    account = AccountId(request.registry_id or call.account)
    if request.repository_names:
        for member, value in (("nextToken", request.next_token), ("maxResults", request.max_results)):
            if value is not None:
                raise InvalidParameter.at(member, f"{member} cannot be used with repositoryNames")
        named = await repositories.named(account, call.region, list(dict.fromkeys(request.repository_names)))
        return shapes.DescribeRepositoriesResponse(repositories=[_repository(call, each) for each in named])
    after = after_token(call, "DescribeRepositories", (account,), request.next_token)
    limit = request.max_results or DEFAULT_PAGE
    found = await repositories.page(account, call.region, after=int(after or 0), limit=limit + 1)
    room = Room(limit)
    page = list(takewhile(lambda each: room.takes(_ENTRY + 6 * len(each.encryption.kms_key or "")), found))
    more = str(page[-1].id) if len(page) < len(found) else None
    return shapes.DescribeRepositoriesResponse(
        repositories=[_repository(call, each) for each in page],
        next_token=next_token(call, "DescribeRepositories", (account,), more),
    )


async def delete_repository(call: EcrCall, request: shapes.DeleteRepositoryRequest) -> shapes.DeleteRepositoryResponse:
    deleted = await call.services.registry.repositories.delete(
        ref_of(call, request), force=bool(request.force), by=by(call)
    )
    repository = _repository(call, deleted)
    return shapes.DeleteRepositoryResponse(
        repository=shapes.Repository(
            repository_arn=repository.repository_arn,
            registry_id=repository.registry_id,
            repository_name=repository.repository_name,
            repository_uri=repository.repository_uri,
            created_at=repository.created_at,
            image_tag_mutability=repository.image_tag_mutability,
        )
    )


async def put_image_tag_mutability(
    call: EcrCall, request: shapes.PutImageTagMutabilityRequest
) -> shapes.PutImageTagMutabilityResponse:
    repository = await call.services.registry.repositories.set_mutability(
        ref_of(call, request),
        request.image_tag_mutability,
        _filters(request.image_tag_mutability_exclusion_filters),
        by=by(call),
    )
    return shapes.PutImageTagMutabilityResponse(
        registry_id=repository.ref.account,
        repository_name=repository.ref.name,
        image_tag_mutability=repository.mutability,
        image_tag_mutability_exclusion_filters=_exclusion_filters(repository),
    )


async def put_image_scanning_configuration(
    call: EcrCall, request: shapes.PutImageScanningConfigurationRequest
) -> shapes.PutImageScanningConfigurationResponse:
    repository = await call.services.registry.repositories.set_scan_on_push(
        ref_of(call, request), bool(request.image_scanning_configuration.scan_on_push), by=by(call)
    )
    return shapes.PutImageScanningConfigurationResponse(
        registry_id=repository.ref.account,
        repository_name=repository.ref.name,
        image_scanning_configuration=shapes.ImageScanningConfiguration(scan_on_push=repository.scan_on_push),
    )


def _filters(filters: Sequence[shapes.ImageTagMutabilityExclusionFilter] | None) -> tuple[str, ...]:
    return tuple(each.filter for each in filters or ())


def _exclusion_filters(repository: Repository) -> list[shapes.ImageTagMutabilityExclusionFilter] | None:
    if not repository.exclusion_filters:
        return None
    return [
        shapes.ImageTagMutabilityExclusionFilter(filter_type="WILDCARD", filter=each)
        for each in repository.exclusion_filters
    ]


def _repository(call: EcrCall, repository: Repository) -> shapes.Repository:
    ref = repository.ref
    return shapes.Repository(
        repository_arn=ref.arn,
        registry_id=ref.account,
        repository_name=ref.name,
        repository_uri=call.services.locations.repository_uri(ref, call.host),
        created_at=repository.created_at,
        image_tag_mutability=repository.mutability,
        image_tag_mutability_exclusion_filters=_exclusion_filters(repository),
        image_scanning_configuration=shapes.ImageScanningConfiguration(scan_on_push=repository.scan_on_push),
        encryption_configuration=shapes.EncryptionConfiguration(
            encryption_type=repository.encryption.type, kms_key=repository.encryption.kms_key
        ),
    )
