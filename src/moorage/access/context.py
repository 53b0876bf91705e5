"""The condition keys of a request and where their values come from (docs/development/policy-engine.md §3.6)."""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from moorage import policy
from moorage.access.caller import Caller, Connection
from moorage.cache import Cache

if TYPE_CHECKING:
    from moorage.identity.credentials.credentials import Credential

Values = dict[str, str | tuple[str, ...]]
_CACHE_BYTES = 4 << 20
"""Bytes of the cache of contexts, which holds those of one second."""

_TYPES: Mapping[str, str] = {
    "root": "Account",
    "user": "User",
    "role": "AssumedRole",
    "federated": "FederatedUser",
    "web": "WebIdentityUser",
    "anonymous": "Anonymous",
}
_UNSIGNED = frozenset({"anonymous", "web"})
"""Kinds of principals whose requests have no signature, and so belong to no account."""


def of_credential(principal: policy.Principal, credential: "Credential | None") -> Values:
    """Return the condition keys of a credential, which do not change. No credential: an open key of dev mode."""
    values: Values = {
        "aws:principaltype": _TYPES[principal.kind],
        "aws:userid": principal.id,
        "aws:principalisawsservice": "false",
        "aws:viaawsservice": "false",
    }
    if principal.kind in _UNSIGNED:
        return values
    values["aws:principalarn"] = principal.role_arn or principal.arn
    values["aws:principalaccount"] = principal.account
    if credential is None:
        return values
    if principal.user_name is not None:
        values["aws:username"] = principal.user_name
    for key, value in credential.tags.items():
        values[f"aws:principaltag/{key.lower()}"] = value
    if credential.token_name is not None:
        values["moorage:tokenname"] = credential.token_name
    if credential.issued_at is not None:
        values["aws:tokenissuetime"] = instant(int(credential.issued_at))
        values["aws:multifactorauthpresent"] = "false"
    session = credential.session
    if session is not None:
        if session.source_identity is not None:
            values["aws:sourceidentity"] = session.source_identity
        if session.provider is not None:
            values["aws:federatedprovider"] = session.provider
        # Parameters of the session must not override the keys that describe it.
        values = {**session.context, **values}
    return values


class Contexts:
    """Creates the contexts of requests. Similar requests of one second share a context, which must not be changed."""

    def __init__(self) -> None:
        self._second = 0
        self._made: Cache[tuple[object, ...], tuple[Values, object, object, object]] = Cache(
            "contexts", _CACHE_BYTES, _size
        )

    def of(
        self,
        caller: Caller,
        connection: Connection,
        now: float,
        resource_account: str,
        resource_tags: Mapping[str, str],
        keys: Mapping[str, str | tuple[str, ...]],
        extra: Mapping[str, str | tuple[str, ...]],
    ) -> Values:
        """Return it as `of_request`. `keys`: those of the organization, which take precedence over `extra`."""
        if extra:
            both = {**extra, **keys}
            return of_request(caller, connection, now, resource_account, resource_tags, both)
        second = int(now)
        if second != self._second:
            self._made.clear()
            self._second = second
        key = (
            id(caller.context),
            id(resource_tags),
            id(keys),
            connection.source_ip,
            connection.secure,
            connection.region,
            connection.user_agent,
            connection.referer,
            resource_account,
        )
        made = self._made.get(key)
        if made is None:
            values = of_request(caller, connection, now, resource_account, resource_tags, keys)
            # Objects that the key identifies by id are kept as well, so that no other object gets their id.
            made = (values, caller.context, resource_tags, keys)
            self._made.keep(key, made)
        return made[0]


def _size(key: tuple[object, ...], made: tuple[Values, object, object, object]) -> int:
    """Return the bytes of a context. Only headers, which clients choose, can be long."""
    headers = sum(len(part) for part in key if isinstance(part, str))
    return 800 + 400 * len(made[0]) + 4 * headers


def of_request(
    caller: Caller,
    connection: Connection,
    now: float,
    resource_account: str,
    resource_tags: Mapping[str, str],
    extra: Mapping[str, str | tuple[str, ...]],
) -> Values:
    """Return all condition keys of a request. `extra`: keys that the operation adds, in lower case."""
    second = int(now)
    values: Values = {
        **caller.context,
        "aws:sourceip": connection.source_ip,
        "aws:securetransport": "true" if connection.secure else "false",
        **clock(second),
        "aws:requestedregion": connection.region,
        "aws:resourceaccount": resource_account,
    }
    if connection.user_agent:
        values["aws:useragent"] = connection.user_agent
    if connection.referer:
        values["aws:referer"] = connection.referer
    for key, value in resource_tags.items():
        folded = key.lower()
        values[f"aws:resourcetag/{folded}"] = value
        values[f"ecr:resourcetag/{folded}"] = value
    if extra:
        values.update(extra)
    return values


@lru_cache(maxsize=4)
def clock(second: int) -> Mapping[str, str]:
    """Return the condition keys for the time of a request."""
    return {"aws:currenttime": instant(second), "aws:epochtime": str(second)}


@lru_cache(maxsize=64)
def instant(second: int) -> str:
    """Return a time in ISO 8601 format, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
