"""TagResource, UntagResource, ListTagsForResource: the tags of repositories (docs/development/ecr-behavior.md §4)."""

from moorage.access.operations import Conditions
from moorage.api.ecr import shapes
from moorage.api.ecr.repositories import request_tags, tags_of
from moorage.api.ecr.service import EcrCall, by, ref_of_arn


def given_tags(_call: EcrCall, request: shapes.TagResourceRequest) -> Conditions:
    return request_tags(request.tags)


def removed_keys(_call: EcrCall, request: shapes.UntagResourceRequest) -> Conditions:
    return {"aws:tagkeys": tuple(request.tag_keys)}


async def tag_resource(call: EcrCall, request: shapes.TagResourceRequest) -> shapes.TagResourceResponse:
    await call.services.registry.repositories.tag(ref_of_arn(request), tags_of(request.tags), by=by(call))
    return shapes.TagResourceResponse()


async def untag_resource(call: EcrCall, request: shapes.UntagResourceRequest) -> shapes.UntagResourceResponse:
    await call.services.registry.repositories.untag(ref_of_arn(request), request.tag_keys, by=by(call))
    return shapes.UntagResourceResponse()


async def list_tags_for_resource(
    call: EcrCall, request: shapes.ListTagsForResourceRequest
) -> shapes.ListTagsForResourceResponse:
    tags = await call.services.registry.repositories.tags(ref_of_arn(request))
    return shapes.ListTagsForResourceResponse(tags=[shapes.Tag(key=key, value=value) for key, value in tags.items()])
