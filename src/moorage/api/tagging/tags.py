"""TagResources and UntagResources. As in AWS, the response says why repositories were refused."""

from collections.abc import Awaitable, Callable, Sequence

from moorage.access.operations import Conditions, tag_conditions
from moorage.api.tagging import arns, shapes
from moorage.api.tagging.service import TaggingCall
from moorage.errors import MoorageError
from moorage.names import RepositoryRef


def given_tags(_call: TaggingCall, request: shapes.TagResourcesInput) -> Conditions:
    return tag_conditions(request.tags.items())


def removed_keys(_call: TaggingCall, request: shapes.UntagResourcesInput) -> Conditions:
    return {"aws:tagkeys": tuple(request.tag_keys)}


async def tag_resources(call: TaggingCall, request: shapes.TagResourcesInput) -> shapes.TagResourcesOutput:
    async def tag(ref: RepositoryRef) -> None:
        await call.services.registry.repositories.tag(ref, request.tags, by=call.caller.principal.arn)

    failed = await _change(call, request.resource_arn_list, "ecr:TagResource", given_tags(call, request), tag)
    return shapes.TagResourcesOutput(failed_resources_map=failed)


async def untag_resources(call: TaggingCall, request: shapes.UntagResourcesInput) -> shapes.UntagResourcesOutput:
    async def untag(ref: RepositoryRef) -> None:
        await call.services.registry.repositories.untag(ref, request.tag_keys, by=call.caller.principal.arn)

    failed = await _change(call, request.resource_arn_list, "ecr:UntagResource", removed_keys(call, request), untag)
    return shapes.UntagResourcesOutput(failed_resources_map=failed)


async def _change(
    call: TaggingCall,
    given: Sequence[str],
    action: str,
    conditions: Conditions,
    change: Callable[[RepositoryRef], Awaitable[None]],
) -> dict[str, shapes.FailureInfo]:
    """Change each repository on which the caller has the permission `action`; return the failures by ARN.

    Each repository is decided and changed on its own, so a failure does not affect the others. A repository that the
    caller may not change fails in the same way whether or not it exists. Raises InvalidParameter, and changes nothing,
    if one of `given` is not an ARN.
    """
    failed: dict[str, shapes.FailureInfo] = {}
    for arn in dict.fromkeys([arns.checked(each) for each in given]):
        ref = arns.repository_of(call, arn)
        if ref is None:
            failed[arn] = _not_here(call, arn)
            continue
        try:
            await call.services.access.require(call.caller, call.connection, action, ref, extra=conditions)
            await change(ref)
        except MoorageError as error:
            failed[arn] = shapes.FailureInfo(
                status_code=error.status, error_code=error.code, error_message=error.message
            )
    return failed


def _not_here(call: TaggingCall, arn: str) -> shapes.FailureInfo:
    """Return why an ARN does not name a repository of the caller's account and region."""
    if arns.service_of(arn) != "ecr":
        message = "Only repositories of Amazon ECR can be tagged here."
    else:
        message = f"The ARN is not one of a repository of account {call.account} in region {call.region}."
    return shapes.FailureInfo(status_code=400, error_code="InvalidParameterException", error_message=message)
