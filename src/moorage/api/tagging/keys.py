"""GetTagKeys and GetTagValues: which tags are in use in a registry."""

from collections.abc import Callable, Iterable

from moorage import pages
from moorage.api.tagging import shapes
from moorage.api.tagging.service import TaggingCall, after_token, next_token
from moorage.registry.repositories.resource_tags import TaggedRepository


async def get_tag_keys(call: TaggingCall, request: shapes.GetTagKeysInput) -> shapes.GetTagKeysOutput:
    token, keys = await _used(call, ("GetTagKeys",), request.pagination_token, lambda each: each.tags)
    return shapes.GetTagKeysOutput(pagination_token=token, tag_keys=keys)


async def get_tag_values(call: TaggingCall, request: shapes.GetTagValuesInput) -> shapes.GetTagValuesOutput:
    def values(each: TaggedRepository) -> Iterable[str]:
        return (each.tags[request.key],) if request.key in each.tags else ()

    token, found = await _used(call, ("GetTagValues", request.key), request.pagination_token, values)
    return shapes.GetTagValuesOutput(pagination_token=token, tag_values=found)


async def _used(
    call: TaggingCall, bound: tuple[str, ...], token: str | None, texts: Callable[[TaggedRepository], Iterable[str]]
) -> tuple[str, list[str]]:
    """Return the next page's token and the texts of the repositories of this page, each once and sorted.

    The number of repositories (`MAX_EXAMINED`) and of bytes in a page is limited. A text that repositories of two pages
    use is on both.
    """
    found: set[str] = set()
    left = pages.PAGE_BYTES

    def takes(each: TaggedRepository) -> bool:
        nonlocal left
        new = set(texts(each)) - found
        left -= sum(6 * len(text) + 3 for text in new)  # at most, in JSON
        if found and left < 0:
            return False
        found.update(new)
        return True

    after = after_token(call, bound, token)
    following = await call.services.registry.resource_tags.scan(call.account, call.region, after, takes)
    return next_token(call, bound, following), sorted(found)
