"""Users and roles that policies name: stored by unique id, shown by ARN (docs/development/policy-engine.md §1.4).

So a policy continues to name a user who was renamed, and never one who was deleted and created again under the same
name. Of a deleted user or role the id remains.

The functions take a connection, so that a transaction can store a policy about a user that it has just created. The
class `Principals` does the same from a cache.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection

from moorage import policy
from moorage.cache import entry_footprint
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.identity.identity import Identity
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import GROUP, ROLE, USER, Entity
from moorage.store.metadata.epoch import EpochCache

_PARTITION: Final = re.compile(r"arn:aws[a-z-]*:")
_UNIQUE_IDS: Final = re.compile(r"A(?:IDA|ROA)[A-Z2-7]+")
"""Unique ids of users and roles, as `identity.principals.unique_ids` makes them, anywhere in a text."""
_CACHED: Final = 2 << 20
"""Bytes of the users and roles that are cached, by the text that names them, until any identity changes."""


class UnknownPrincipal(LookupError):
    """A policy names a user or role that does not exist. The argument is the text that names it."""


def named_by(conn: Connection, document: policy.Document, in_force: str = "") -> dict[str, Entity]:
    """Return the users and roles kept here that `document` names, by the text that names them. UnknownPrincipal.

    A unique id must be that of an existing identity, or be contained in `in_force`, the policy that the document
    replaces. The policies may name any users (or roles) of an account that keeps none here: strict where Moorage knows,
    open where it cannot know. The ARNs of sessions are not looked up, because sessions come and go.
    """
    return _look_up(conn, _that_name_identities(document), in_force)


def shown_with(conn: Connection, stored: str, kind: policy.Kind) -> str:
    """Return the stored text of a policy as clients see it: ARNs instead of unique ids."""
    return _shown(stored, kind, _arns(conn, _ids_in(stored)))


def check_trust(text: str) -> policy.Document:
    """Return a new trust policy, parsed. MalformedPolicyDocument if it is not one, or if IAM refuses it."""
    found = policy.parsed(text, policy.Kind.TRUST)
    refused = policy.refusal(found)
    if refused is not None:
        raise QueryError("MalformedPolicyDocument", refused)
    return found.document()


def stored_trust(conn: Connection, document: policy.Document, text: str, in_force: str = "") -> str:
    """Return the stored form of a trust policy that `check_trust` has parsed.

    MalformedPolicyDocument if it names a user or role that does not exist. `in_force`: as of `named_by`.
    """
    try:
        return _stored_trust(document, text, named_by(conn, document, in_force))
    except UnknownPrincipal as error:
        raise _invalid_principal(error) from error


def has_unique_ids(document: policy.Document) -> bool:
    """Return whether the policy names anybody by unique id."""
    return any(map(policy.is_unique_id, document.principals))


def ids_of(named: Mapping[str, Entity]) -> dict[str, str]:
    """Return the unique ids by the texts that name the identities. A text that is an id is left out."""
    return {text: entity.id for text, entity in named.items() if text != entity.id}


class Principals:
    """Looks up the users and roles that policies name, and caches them."""

    def __init__(self, identity: Identity) -> None:
        self._epochs = identity.epochs
        self._db = identity.epochs.db
        self._cache: EpochCache[str, Entity] = EpochCache("principals", _CACHED, "wide", entry_footprint)

    async def named(self, document: policy.Document, in_force: str = "") -> Mapping[str, Entity]:
        """Return the users and roles that `document` names, as `named_by` does."""
        texts = _that_name_identities(document)
        if not texts:
            return {}
        at = await self._epochs.now()
        cached = {text: found for text in texts if (found := self._cache.known(text, at)) is not None}
        missing = [text for text in texts if text not in cached]
        if not missing:
            return cached
        read = await self._db.read(lambda conn: _look_up(conn, missing, in_force))
        for text, entity in read.items():
            self._cache.keep(text, entity, at)
        return cached | read

    async def shown(self, stored: str, kind: policy.Kind = policy.Kind.TRUST) -> str:
        """Return the stored text of a policy as clients see it, as `shown_with` does."""
        ids = _ids_in(stored)
        return _shown(stored, kind, await self._db.read(lambda conn: _arns(conn, ids))) if ids else stored

    async def trust(self, text: str, *, in_force: str = "") -> str:
        """Return the stored form of a new trust policy. Raises as `check_trust` and `stored_trust` do."""
        document = check_trust(text)
        try:
            return _stored_trust(document, text, await self.named(document, in_force))
        except UnknownPrincipal as error:
            raise _invalid_principal(error) from error


def _that_name_identities(document: policy.Document) -> list[str]:
    """Return the texts of the document that are unique ids, or ARNs of identities."""
    return [each for each in dict.fromkeys(document.principals) if policy.is_unique_id(each) or _parsed(each)]


def _parsed(text: str) -> arns.Parsed | None:
    """Return the parts of an identity's ARN in any partition; None if the text is not one."""
    return arns.parse_identity(_PARTITION.sub("arn:aws:", text, count=1))


def _look_up(conn: Connection, texts: Iterable[str], in_force: str) -> dict[str, Entity]:
    found: dict[str, Entity] = {}
    for text in texts:
        entity = _with_id(conn, text) if policy.is_unique_id(text) else _with_arn(conn, text)
        if entity is not None:
            found[text] = entity
        elif policy.is_unique_id(text) and text not in in_force:
            raise UnknownPrincipal(text)
    return found


def _with_arn(conn: Connection, text: str) -> Entity | None:
    """Return the user or role that an ARN names; None if its account keeps none of that kind here."""
    named = _parsed(text)
    if named is None:
        return None
    found = None if named.kind == GROUP.name else lookup.with_arn(conn, text)
    kind = ROLE if named.kind == ROLE.name else USER  # a group is no principal
    if found is None and lookup.has_any(conn, kind, named.account):
        raise UnknownPrincipal(text)
    return found


def _with_id(conn: Connection, unique_id: str) -> Entity | None:
    return lookup.with_id(conn, ROLE if unique_id.startswith(ROLE.prefix) else USER, unique_id)


def _ids_in(stored: str) -> frozenset[str]:
    return frozenset(_UNIQUE_IDS.findall(stored))


def _arns(conn: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Return the ARNs of the users and roles that exist, by unique id."""
    found = {each: _with_id(conn, each) for each in ids}
    return {each: entity.arn for each, entity in found.items() if entity is not None}


def _shown(stored: str, kind: policy.Kind, named: Mapping[str, str]) -> str:
    return policy.parse(stored, kind).canonical(named) if named else stored


def _stored_trust(document: policy.Document, text: str, named: Mapping[str, Entity]) -> str:
    ids = ids_of(named)
    return document.canonical(ids) if ids else text


def _invalid_principal(error: UnknownPrincipal) -> QueryError:
    return QueryError("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{error}"')
