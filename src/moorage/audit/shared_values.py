"""What many records share (a caller, condition-key values, a policy set): its text, and the hash it is kept by."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec

from moorage import policy
from moorage.access.caller import Caller
from moorage.audit import text as audit_text
from moorage.cache import Cache, entry_footprint, footprint

T = TypeVar("T")

_CALLERS: Final = 4 << 20
"""Bytes of the callers whose texts are cached."""
_POLICIES: Final = 16 << 20
"""Bytes of the policy sets whose texts are cached, with their documents."""
_CONTEXTS: Final = 4 << 20
"""Bytes of the condition-key values whose texts are cached."""
_WRITTEN: Final = 4 << 20
"""Bytes of the hashes of what was written today."""
_SETS: Final = ("identity", "resource", "trust", "boundary", "session")
_LEVELS: Final = ("scp", "rcp")
_encode = msgspec.json.Encoder(order="deterministic").encode


class KeptCaller(msgspec.Struct, frozen=True):
    """A caller as the record keeps it: the whole principal, and how it proved who it is."""

    principal: policy.Principal
    credential: str
    key_id: str
    context: dict[str, str | tuple[str, ...]]
    """Condition keys that belong to the credential."""


class KeptPolicy(msgspec.Struct, frozen=True):
    """A policy that a decision was made on."""

    name: str
    hash: str
    kind: str


class KeptPolicies(msgspec.Struct, frozen=True):
    """The policy sets of a decision; None: there was no such set. Of SCPs and RCPs, one tuple a level."""

    identity: tuple[KeptPolicy, ...] | None = None
    resource: tuple[KeptPolicy, ...] | None = None
    trust: tuple[KeptPolicy, ...] | None = None
    boundary: tuple[KeptPolicy, ...] | None = None
    session: tuple[KeptPolicy, ...] | None = None
    scp: tuple[tuple[KeptPolicy, ...], ...] | None = None
    rcp: tuple[tuple[KeptPolicy, ...], ...] | None = None


class Parts:
    """Names what rows refer to, and knows which texts are not in the database yet."""

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
        """Text by hash: what the rows of this batch refer to and nobody has written today."""

    def begin(self, day: int) -> None:
        """A batch of that day follows. What was written on another day is written again, so that it does not age."""
        if day != self._day:
            self._written.clear()
            self._day = day
        self.new = {}

    def written(self) -> None:
        """The batch is in the database."""
        for name in self.new:
            self._written.keep(name, None)

    def caller(self, caller: Caller) -> str:
        """The hash of a caller."""
        known = self._callers.get(id(caller))
        if known is None:
            principal, context = caller.principal, audit_text.kept_context(caller.context)
            name = audit_text.kept(principal.id)
            if name != principal.id:  # of a web identity: what its token says
                principal = msgspec.structs.replace(principal, id=name)
            text = _text(KeptCaller(principal, caller.credential, audit_text.kept(caller.key_id), context))
            known = (caller, _name(text), text)
            self._callers.keep(id(caller), known)
        return self._refer(known[1], known[2])

    def policies(self, policies: policy.Policies) -> str:
        """The hash of the policy sets of a decision."""
        known = self._policies.get(id(policies))
        if known is None:
            text = _text(_kept(policies))
            known = (policies, _name(text), text)
            self._policies.keep(id(policies), known)
        return self._refer(known[1], known[2])

    def context(self, context: policy.Context) -> str:
        """The hash of a request's condition-key values, without the clock's, which follow from the decision's time."""
        kept = dict(context)
        for key in policy.CLOCK_KEYS:
            kept.pop(key, None)
        values = tuple(kept.items())
        known = self._contexts.get(values)
        if known is None:
            text = _text(kept)
            known = (_name(text), text)
            self._contexts.keep(values, known)
        return self._refer(*known)

    def _refer(self, name: str, text: str) -> str:
        if name not in self._written:
            self.new[name] = text
        return name


def _kept(policies: policy.Policies) -> dict[str, Any]:
    sets: dict[str, Any] = {}
    for name in _SETS:
        attached: Sequence[policy.Named] | None = getattr(policies, name)
        if attached is not None:
            sets[name] = [_kept_policy(each) for each in attached]
    for name in _LEVELS:
        levels: Sequence[Sequence[policy.Named]] | None = getattr(policies, name)
        if levels is not None:
            sets[name] = [[_kept_policy(each) for each in level] for level in levels]
    return sets


def _kept_policy(named: policy.Named) -> KeptPolicy:
    return KeptPolicy(named.name, named.hash, named.document.kind.value)


def _text(value: Any) -> str:
    return _encode(value).decode()


def _name(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def read_caller(text: str) -> KeptCaller:
    """The caller that a part holds."""
    return msgspec.json.decode(text, type=KeptCaller)


def read_policies(text: str) -> KeptPolicies:
    """The policy sets that a part holds."""
    return msgspec.json.decode(text, type=KeptPolicies)


def read_context(text: str) -> Mapping[str, str | tuple[str, ...]]:
    """The condition-key values that a part holds; those of the clock are not among them."""
    return msgspec.json.decode(text, type=dict[str, str | tuple[str, ...]])
