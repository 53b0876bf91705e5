"""Values that many rows of the audit record share: callers, condition-key values and policy sets, stored by hash."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec

from moorage import policy
from moorage.access.caller import Caller
from moorage.audit import text as audit_text
from moorage.cache import Cache, entry_footprint, footprint

T = TypeVar("T")

_CALLERS: Final = 4 << 20
"""Bytes of the cache of callers' texts."""
_POLICIES: Final = 16 << 20
"""Bytes of the cache of policy sets' texts, with the documents of the policies."""
_CONTEXTS: Final = 4 << 20
"""Bytes of the cache of condition-key values' texts."""
_WRITTEN: Final = 4 << 20
"""Bytes of the cache of hashes that were written today."""
_SETS: Final = ("identity", "resource", "trust", "boundary", "session")
_LEVELS: Final = ("scp", "rcp")
_encode = msgspec.json.Encoder(order="deterministic").encode


class RecordedCaller(msgspec.Struct, frozen=True):
    """The recorded form of a caller: the whole principal and how it authenticated."""

    principal: policy.Principal
    credential: str
    key_id: str
    context: dict[str, str | tuple[str, ...]]
    """Condition keys of the credential."""


class RecordedPolicy(msgspec.Struct, frozen=True):
    """The recorded form of a policy that a decision was made on."""

    name: str
    hash: str
    kind: str


class RecordedPolicies(msgspec.Struct, frozen=True):
    """The recorded form of a decision's policy sets; None where there was none. SCPs and RCPs are a tuple a level."""

    identity: tuple[RecordedPolicy, ...] | None = None
    resource: tuple[RecordedPolicy, ...] | None = None
    trust: tuple[RecordedPolicy, ...] | None = None
    boundary: tuple[RecordedPolicy, ...] | None = None
    session: tuple[RecordedPolicy, ...] | None = None
    scp: tuple[tuple[RecordedPolicy, ...], ...] | None = None
    rcp: tuple[tuple[RecordedPolicy, ...], ...] | None = None


class SharedValues:
    """Computes the hashes that rows refer to, and remembers which texts are in the database already."""

    def __init__(self) -> None:
        self._callers: Cache[int, tuple[Caller, str, str]] = Cache("audit_callers", _CALLERS, entry_footprint)
        self._policies: Cache[int, tuple[policy.Policies, str, str]] = Cache(
            "audit_policies",
            _POLICIES,
            lambda _, known: 500 + footprint(known[1:]),
            lambda known: known[0].documents(),
        )
        self._contexts: Cache[tuple[tuple[str, str | tuple[str, ...]], ...], tuple[str, str]] = Cache(
            "audit_contexts", _CONTEXTS, entry_footprint
        )
        self._written: Cache[str, None] = Cache("audit_written", _WRITTEN, entry_footprint)
        self._day = 0
        self.new: dict[str, str] = {}
        """Text by hash: the values that rows of this batch refer to and that were not written today."""

    def begin(self, day: int) -> None:
        """Begin a batch. Values that were written on another day are written again, so that they do not expire."""
        if day != self._day:
            self._written.clear()
            self._day = day
        self.new = {}

    def written(self) -> None:
        """Note that the batch is in the database."""
        for name in self.new:
            self._written.keep(name, None)

    def caller(self, caller: Caller) -> str:
        """Return the hash of a caller."""
        known = self._callers.get(id(caller))
        if known is None:
            principal, context = caller.principal, audit_text.truncated_context(caller.context)
            name = audit_text.truncated(principal.id)
            if name != principal.id:  # the id of a web identity is taken from its token
                principal = msgspec.structs.replace(principal, id=name)
            text = _text(RecordedCaller(principal, caller.credential, audit_text.truncated(caller.key_id), context))
            known = (caller, _name(text), text)
            self._callers.keep(id(caller), known)
        return self._refer(known[1], known[2])

    def policies(self, policies: policy.Policies) -> str:
        """Return the hash of a decision's policy sets."""
        known = self._policies.get(id(policies))
        if known is None:
            text = _text(_recorded(policies))
            known = (policies, _name(text), text)
            self._policies.keep(id(policies), known)
        return self._refer(known[1], known[2])

    def context(self, context: policy.Context) -> str:
        """Return the hash of a request's condition-key values, without those that follow from the decision's time."""
        timeless = dict(context)
        for key in policy.CLOCK_KEYS:
            timeless.pop(key, None)
        values = tuple(timeless.items())
        known = self._contexts.get(values)
        if known is None:
            text = _text(timeless)
            known = (_name(text), text)
            self._contexts.keep(values, known)
        return self._refer(*known)

    def _refer(self, name: str, text: str) -> str:
        if name not in self._written:
            self.new[name] = text
        return name


def _recorded(policies: policy.Policies) -> Mapping[str, Sequence[object]]:
    sets: dict[str, Sequence[object]] = {}
    for name in _SETS:
        attached: Sequence[policy.Named] | None = getattr(policies, name)
        if attached is not None:
            sets[name] = [_recorded_policy(each) for each in attached]
    for name in _LEVELS:
        levels: Sequence[Sequence[policy.Named]] | None = getattr(policies, name)
        if levels is not None:
            sets[name] = [[_recorded_policy(each) for each in level] for level in levels]
    return sets


def _recorded_policy(named: policy.Named) -> RecordedPolicy:
    return RecordedPolicy(named.name, named.hash, named.document.kind.value)


def _text(value: object) -> str:
    return _encode(value).decode()


def _name(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def read_caller(text: str) -> RecordedCaller:
    """Decode a shared value that is a caller."""
    return msgspec.json.decode(text, type=RecordedCaller)


def read_policies(text: str) -> RecordedPolicies:
    """Decode a shared value that is a decision's policy sets."""
    return msgspec.json.decode(text, type=RecordedPolicies)


def read_context(text: str) -> Mapping[str, str | tuple[str, ...]]:
    """Decode a shared value that is condition-key values; those of the clock are not among them."""
    return msgspec.json.decode(text, type=dict[str, str | tuple[str, ...]])
