"""Users and roles that policies name: kept by unique id, shown by ARN (docs/development/policy-engine.md §1.4).

So a policy goes on naming a user that was renamed, and never one that was deleted and made again; of a deleted one the
id is left.
"""

import re
from collections.abc import Mapping

from moorage import policy
from moorage.cache import entry_footprint
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import Entity
from moorage.store.metadata.epoch import Epoch, EpochCache

_PARTITION = re.compile(r"arn:aws[a-z-]*:")
_MADE_HERE = re.compile(r"A(?:IDA|ROA)[A-Z2-7]+")
"""Unique ids as `identity.unique_ids` makes them, in the midst of a text."""
_ROLE_ID = "AROA"
_KEPT = 2 << 20
"""Bytes of the users and roles that are cached, as policies name them, until any identity changes."""


class UnknownPrincipal(LookupError):
    """A user or role that should be here and is not; its text is the argument."""


def ids_of(named: Mapping[str, Entity]) -> dict[str, str]:
    """Unique ids for ARNs, as policies are stored. A text that is an id stands for itself."""
    return {text: entity.id for text, entity in named.items() if text != entity.id}


class Principals:
    """Looks up whom a policy names."""

    def __init__(self, identity: Identity) -> None:
        self._users = identity.users
        self._roles = identity.roles
        self._epochs = identity.epochs
        self._known: EpochCache[str, Entity] = EpochCache("principals", _KEPT, "wide", entry_footprint)

    async def named(self, document: policy.Document, in_force: str = "") -> Mapping[str, Entity]:
        """The users and roles kept here that `document` names, by the text that does. UnknownPrincipal.

        An id that is there already must be somebody's, or stand in the policy `in_force` until now. An account that
        keeps no users (or roles) here may name any: strict where we know, open where we cannot (design §4). The ARNs of
        sessions are not looked up: they come and go, and their role's existence says nothing about them.
        """
        named: dict[str, Entity] = {}
        at = await self._epochs.now()
        for each in dict.fromkeys(document.principals):
            found = await self._find(each, at)
            if found is not None:
                named[each] = found
            elif policy.is_unique_id(each) and each not in in_force:
                raise UnknownPrincipal(each)
        return named

    async def shown(self, stored: str, kind: policy.Kind = policy.Kind.TRUST) -> str:
        """The stored text as clients see it."""
        found = await self._arns(set(_MADE_HERE.findall(stored)))
        if not found:
            return stored
        return policy.parse(stored, kind).canonical(found)

    async def trust(self, text: str, *, in_force: str = "") -> str:
        """Return the stored form of a new trust policy.

        Raises MalformedPolicyDocument when it is none, when IAM refuses it, or when it names nobody that is here.
        """
        found = policy.parsed(text, policy.Kind.TRUST)
        refused = policy.refusal(found)
        if refused is not None:
            raise QueryError("MalformedPolicyDocument", refused)
        document = found.document()
        try:
            ids = ids_of(await self.named(document, in_force))
        except UnknownPrincipal as error:
            raise QueryError("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{error}"') from error
        return document.canonical(ids) if ids else text

    async def _find(self, text: str, at: Epoch) -> Entity | None:
        known = self._known.known(text, at)
        if known is not None:
            return known
        found = await (self._by_id(text) if policy.is_unique_id(text) else self._look_up(text))
        if found is not None:
            self._known.keep(text, found, at)
        return found

    async def _look_up(self, text: str) -> Entity | None:
        """The user or role that an ARN names; None when it names none that could be known."""
        said = arns.parse_identity(_PARTITION.sub("arn:aws:", text, count=1))
        if said is None:
            return None
        directory = self._roles if said.kind == "role" else self._users
        found = await directory.by_arn(text)
        if found is None and await directory.keeps_any(said.account):
            raise UnknownPrincipal(text)
        return found

    async def _arns(self, ids: set[str]) -> Mapping[str, str]:
        found = {each: await self._by_id(each) for each in ids}
        return {each: entity.arn for each, entity in found.items() if entity is not None}

    async def _by_id(self, unique_id: str) -> Entity | None:
        if unique_id.startswith(_ROLE_ID):
            return await self._roles.by_id(unique_id)
        return await self._users.by_id(unique_id)
