"""The kind of a policy, as far as its text shows it."""

from collections.abc import Mapping
from typing import NamedTuple

from moorage.policy.catalog.actions import MOORAGE
from moorage.policy.language.canonical import Json
from moorage.policy.language.json_reader import as_list, read
from moorage.policy.language.kind import Kind
from moorage.policy.matching.errors import ErrorCollector, PolicyError


class Guess(NamedTuple):
    """A kind, or None if the text fits several; and the reason, for people (empty if the text fits no kind)."""

    kind: Kind | None
    because: str


def guess_kind(text: str) -> Guess:
    """Return the kind of policy that `text` is. Only unambiguous features count. Never raise."""
    try:
        document = read(text, {}, ErrorCollector(keep=True))
    except PolicyError:
        return Guess(Kind.REPOSITORY, "")
    statements = [one for one, _ in as_list(document.get("Statement", []), "") if isinstance(one, Mapping)]
    principal = {"Principal" in one or "NotPrincipal" in one for one in statements}
    resource = {"Resource" in one or "NotResource" in one for one in statements}
    services = {text.partition(":")[0].lower() for one in statements for text in _actions(one)}
    if principal == {False} and resource == {True}:
        return Guess(Kind.IDENTITY, "it names resources and no principals")
    if principal == {True} and resource == {False} and services == {"sts"}:
        return Guess(Kind.TRUST, "it names principals and actions of sts")
    if principal == {True} and resource == {False} and services in ({"ecr"}, {MOORAGE}, {"ecr", MOORAGE}):
        return Guess(Kind.REPOSITORY, "it names principals, actions of ecr, and no resources")
    if principal == {True} and resource == {True}:
        return Guess(
            None, "it names principals and resources: a registry policy, an RCP, or a repository policy at fault"
        )
    return Guess(None, "its elements fit no kind, or several")


def _actions(statement: Mapping[str, Json]) -> list[str]:
    return [
        text
        for name in ("Action", "NotAction")
        for text, _ in as_list(statement.get(name, []), "")
        if isinstance(text, str)
    ]
