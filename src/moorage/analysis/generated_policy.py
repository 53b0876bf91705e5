"""The least policy that allows what was used: statements from requests, grouped so that people can read them."""

import json
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Final

import msgspec

from moorage import policy
from moorage.errors import LimitExceeded
from moorage.policy.catalog.actions import DELETE, PULL, PUSH, SIGN_IN

_PULL: Final = frozenset(PULL)
_PUSH: Final = frozenset(PUSH)
_NAMES: Final = (
    (_PULL, "Pull"),
    (_PUSH, "Push"),
    (_PULL | _PUSH, "PullAndPush"),
    (_PULL | _PUSH | frozenset(DELETE), "PullPushAndDelete"),
    (frozenset(DELETE), "Delete"),
)
"""Sets of actions that have a name among people."""
MOST_NETWORKS: Final = 60
"""Networks in one statement; where more were seen, those of a neighbourhood (/24, /64) are taken together."""


_MOST: Final = 50_000
"""Different grantees, actions and addresses together, some 300 bytes each."""


class Grantee(msgspec.Struct, frozen=True, order=True):
    """Whom a statement names, and what makes the name fit nobody else."""

    element: str
    """`AWS` or `Service`; `*`: everybody."""
    name: str
    condition: str = ""
    """JSON of a Condition element; empty: none is needed."""


class Usage:
    """Who used which actions from where."""

    def __init__(self) -> None:
        self._used: dict[Grantee, dict[str, set[str]]] = {}
        self._count = 0

    def add(self, grantee: Grantee, action: str, source_ip: str) -> None:
        """LimitExceeded when there are too many to make a policy of."""
        addresses = self._used.setdefault(grantee, {}).setdefault(action, set())
        if source_ip not in addresses:
            self._count += 1
            if self._count > _MOST:
                raise too_much()
            addresses.add(source_ip)

    def forget(self, name: str) -> None:
        """Leave somebody out (who is no longer there)."""
        self._used = {grantee: actions for grantee, actions in self._used.items() if grantee.name != name}

    def statements(self, *, by_network: bool) -> list[dict[str, Any]]:
        """One statement for all who used the same actions (from the same networks), in a stable order."""
        groups: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
        for grantee, used in self._used.items():
            networks: tuple[str, ...] = ()
            if by_network:
                networks = tuple(_networks({address for seen in used.values() for address in seen}))
            key = (grantee.element, grantee.condition, tuple(sorted(used)), networks)
            groups.setdefault(key, []).append(grantee.name)
        statements = [_statement(*key, sorted(names)) for key, names in sorted(groups.items())]
        return with_sids(statements)


def too_much() -> LimitExceeded:
    return LimitExceeded("Too many different callers, actions and addresses for one policy. Choose a shorter time.")


def _statement(
    element: str, condition: str, actions: tuple[str, ...], networks: tuple[str, ...], names: list[str]
) -> dict[str, Any]:
    conditions: dict[str, Any] = json.loads(condition) if condition else {}
    if networks:
        conditions["IpAddress"] = {"aws:SourceIp": _one_or_all(list(networks))}
    made: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": "*" if element == "*" else {element: _one_or_all(names)},
        "Action": _one_or_all(list(actions)),
    }
    return {**made, "Condition": conditions} if conditions else made


def with_sids(statements: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The statements with a Sid each that says what they allow."""
    seen: dict[str, int] = {}
    named = []
    for statement in statements:
        actions = statement["Action"]
        name = said(actions if isinstance(actions, list) else [actions])
        seen[name] = seen.get(name, 0) + 1
        sid = name if seen[name] == 1 else f"{name}{seen[name]}"
        named.append({"Sid": sid, **statement})
    return named


def said(actions: Collection[str]) -> str:
    """The name of a set of actions."""
    found = frozenset(actions)
    for known, name in _NAMES:
        if found == known:
            return name
    if found == {SIGN_IN}:
        return "SignIn"
    if found < _PULL:
        return "PartOfPull"
    return "PartOfPush" if found < _PUSH else "Used"


def grantee(principal: policy.Principal, *, session: bool = False) -> Grantee:
    """How a policy names that caller and nobody else; a role's sessions by their role, unless `session`."""
    match principal.kind:
        case "anonymous":
            return Grantee("*", "*", _condition("StringEquals", "aws:PrincipalType", "Anonymous"))
        case "service":
            return Grantee("Service", principal.arn)
        case "root":
            # The root's ARN names the whole account.
            return Grantee("AWS", principal.arn, _condition("ArnEquals", "aws:PrincipalArn", principal.arn))
        case _:
            return Grantee("AWS", principal.arn if session else principal.role_arn or principal.arn)


def _condition(operator: str, key: str, value: str) -> str:
    return json.dumps({operator: {key: value}})


def _networks(addresses: Collection[str]) -> list[str]:
    v4: list[IPv4Network] = []
    v6: list[IPv6Network] = []
    for address in addresses:
        network = ip_network(address)
        if isinstance(network, IPv4Network):
            v4.append(network)
        else:
            v6.append(network)
    found: list[IPv4Network | IPv6Network] = [*collapse_addresses(v4), *collapse_addresses(v6)]
    if len(found) > MOST_NETWORKS:
        v4 = [each.supernet(new_prefix=min(24, each.prefixlen)) for each in v4]
        v6 = [each.supernet(new_prefix=min(64, each.prefixlen)) for each in v6]
        found = [*collapse_addresses(v4), *collapse_addresses(v6)]
    return [str(each) for each in found]


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts
