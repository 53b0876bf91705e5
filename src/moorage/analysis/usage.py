"""Groups used actions into the statements of the smallest policy that allows them."""

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
"""Sets of actions with a common name."""
MAX_NETWORKS: Final = 60
"""Most networks in one statement. If there are more, addresses are merged into networks of /24 or /64."""
_MAX_COMBINATIONS: Final = 50_000
"""Most combinations of a grantee, an action and an address, of about 300 bytes each."""


class Grantee(msgspec.Struct, frozen=True, order=True):
    """The principal that a statement names, and the condition under which the name fits nobody else."""

    element: str
    """`AWS`, `Service`, or `*` for everyone."""
    name: str
    condition: str = ""
    """JSON of a Condition element; empty if none is needed."""


class Usage:
    """Collects which grantees used which actions, from which addresses."""

    def __init__(self) -> None:
        self._used: dict[Grantee, dict[str, set[str]]] = {}
        self._count = 0

    def add(self, grantee: Grantee, action: str, source_ip: str) -> None:
        """Raise LimitExceeded if there are too many combinations for one policy."""
        addresses = self._used.setdefault(grantee, {}).setdefault(action, set())
        if source_ip not in addresses:
            self._count += 1
            if self._count > _MAX_COMBINATIONS:
                raise too_many_combinations()
            addresses.add(source_ip)

    def forget(self, name: str) -> None:
        """Remove a grantee, which no longer exists."""
        self._used = {grantee: actions for grantee, actions in self._used.items() if grantee.name != name}

    def statements(self, *, by_network: bool) -> list[dict[str, Any]]:
        """Return a statement for each group of grantees that used the same actions from the same networks, in order."""
        groups: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
        for grantee, used in self._used.items():
            networks: tuple[str, ...] = ()
            if by_network:
                networks = tuple(_networks({address for seen in used.values() for address in seen}))
            key = (grantee.element, grantee.condition, tuple(sorted(used)), networks)
            groups.setdefault(key, []).append(grantee.name)
        statements = [_statement(*key, sorted(names)) for key, names in sorted(groups.items())]
        return with_sids(statements)


def too_many_combinations() -> LimitExceeded:
    return LimitExceeded("Too many different callers, actions and addresses for one policy. Choose a shorter time.")


def _statement(
    element: str, condition: str, actions: tuple[str, ...], networks: tuple[str, ...], names: list[str]
) -> dict[str, Any]:
    conditions: dict[str, Any] = json.loads(condition) if condition else {}
    if networks:
        conditions["IpAddress"] = {"aws:SourceIp": _one_or_all(list(networks))}
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": "*" if element == "*" else {element: _one_or_all(names)},
        "Action": _one_or_all(list(actions)),
    }
    return {**statement, "Condition": conditions} if conditions else statement


def with_sids(statements: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the statements with Sids that say what they allow."""
    seen: dict[str, int] = {}
    named = []
    for statement in statements:
        actions = statement["Action"]
        name = sid_of(actions if isinstance(actions, list) else [actions])
        seen[name] = seen.get(name, 0) + 1
        sid = name if seen[name] == 1 else f"{name}{seen[name]}"
        named.append({"Sid": sid, **statement})
    return named


def sid_of(actions: Collection[str]) -> str:
    """Return the Sid for a set of actions."""
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
    """Return how a policy names that caller and nobody else. `session`: name a session instead of its role."""
    match principal.kind:
        case "anonymous":
            return Grantee("*", "*", _condition("StringEquals", "aws:PrincipalType", "Anonymous"))
        case "service":
            return Grantee("Service", principal.arn)
        case "root":
            # In a policy, the ARN of the root names the whole account.
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
    if len(found) > MAX_NETWORKS:
        v4 = [each.supernet(new_prefix=min(24, each.prefixlen)) for each in v4]
        v6 = [each.supernet(new_prefix=min(64, each.prefixlen)) for each in v6]
        found = [*collapse_addresses(v4), *collapse_addresses(v6)]
    return [str(each) for each in found]


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts
