"""Writing parts of declarative files, which `reader` reads back as the same declaration. Defaults are omitted."""

import json
from collections.abc import Sequence
from typing import Any, Final

import yaml

from moorage import policy
from moorage.declarative.declaration import DeclaredPolicy, Organization, Registry, Repository
from moorage.declarative.organization import POLICIES

ACCOUNTS: Final = "accounts"
HEAD: Final = "version: 1\n"


def part(path: Sequence[str], value: Any, before: Sequence[str] = ()) -> str:
    """Return the lines that put `value` under the keys of `path`.

    `before`: the path of the preceding part, or its beginning. Keys that both have in common are not repeated.
    """
    shared = 0
    while shared < min(len(path) - 1, len(before)) and path[shared] == before[shared]:
        shared += 1
    nested = value
    for key in reversed(path):
        nested = {key: nested}
    text: str = yaml.dump(nested, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return "".join(text.splitlines(keepends=True)[shared:])


def entry(account: str, section: str, key: Any, value: Any, before: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the lines about one entity of an account, and its path for the next part.

    `key`: as in `declaration.Account`.
    """
    keys = map(str, key) if isinstance(key, tuple) else (str(key),)
    path = (ACCOUNTS, str(account), section, *keys)
    return part(path, _entity(value), before), path


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, which the reader refuses."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def organization(one: Organization) -> Any:
    """Return the organization as it is written in the file."""
    written = json.loads(one.document)
    for member, kind in POLICIES:
        for name, given in written.get(member, {}).items():
            written[member][name] = _document(policy.parse(json.dumps(given), kind).canonical(), kind)
    return written


def _entity(one: Any) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, default in (
        ("path", "/"),
        ("description", ""),
        ("max_session_seconds", 3600),
        ("mutability", "MUTABLE"),
        ("scan_on_push", False),
        ("policy_scope", "V2"),
        ("boundary", None),
    ):
        if getattr(one, name, default) != default:
            written[name] = getattr(one, name)
    for name in ("groups", "attached", "exclusions"):
        if getattr(one, name, ()):
            written[name] = list(getattr(one, name))
    if getattr(one, "tags", None):
        written["tags"] = {key: one.tags[key] for key in sorted(one.tags)}
    if getattr(one, "trust", None):
        written["trust"] = _document(one.trust, policy.Kind.TRUST)
    if getattr(one, "inline", None):
        written["inline"] = {name: _document(one.inline[name], policy.Kind.IDENTITY) for name in sorted(one.inline)}
    if isinstance(one, DeclaredPolicy):
        written["document"] = _document(one.document, policy.Kind.IDENTITY)
    if isinstance(one, Repository | Registry) and one.policy is not None:
        kind = policy.Kind.REPOSITORY if isinstance(one, Repository) else policy.Kind.REGISTRY
        written["policy"] = _document(one.policy, kind)
    return written


def _document(text: str, kind: policy.Kind) -> Any:
    """Return the policy as YAML values; as a JSON text if YAML would not keep the spelling of a number in it."""
    value = json.loads(text)
    return value if policy.parse(json.dumps(value), kind).canonical() == text else text
