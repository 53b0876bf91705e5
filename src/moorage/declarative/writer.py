"""Parts of a declarative file, which `reading` reads back as the same declaration; defaults are left out."""

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
    """The lines of the file that say `value` under the keys of `path`.

    `before`: the path of the part before it, or as much of that as matters. The keys that both have are not repeated.
    """
    shared = 0
    while shared < min(len(path) - 1, len(before)) and path[shared] == before[shared]:
        shared += 1
    said = value
    for key in reversed(path):
        said = {key: said}
    text: str = yaml.dump(said, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return "".join(text.splitlines(keepends=True)[shared:])


def entry(account: str, section: str, key: Any, value: Any, before: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """The lines about one thing of an account, and their path for the next part. `key`: as in `declaration.Account`."""
    keys = map(str, key) if isinstance(key, tuple) else (str(key),)
    path = (ACCOUNTS, str(account), section, *keys)
    return part(path, _entity(value), before), path


class _Dumper(yaml.SafeDumper):
    """Without aliases: nothing in the file stands for something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def organization(one: Organization) -> Any:
    """The organization as it stands in the file."""
    said = json.loads(one.document)
    for member, kind in POLICIES:
        for name, given in said.get(member, {}).items():
            said[member][name] = _document(policy.parse(json.dumps(given), kind).canonical(), kind)
    return said


def _entity(one: Any) -> dict[str, Any]:
    said: dict[str, Any] = {}
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
            said[name] = getattr(one, name)
    for name in ("groups", "attached", "exclusions"):
        if getattr(one, name, ()):
            said[name] = list(getattr(one, name))
    if getattr(one, "tags", None):
        said["tags"] = {key: one.tags[key] for key in sorted(one.tags)}
    if getattr(one, "trust", None):
        said["trust"] = _document(one.trust, policy.Kind.TRUST)
    if getattr(one, "inline", None):
        said["inline"] = {name: _document(one.inline[name], policy.Kind.IDENTITY) for name in sorted(one.inline)}
    if isinstance(one, DeclaredPolicy):
        said["document"] = _document(one.document, policy.Kind.IDENTITY)
    if isinstance(one, Repository | Registry) and one.policy is not None:
        kind = policy.Kind.REPOSITORY if isinstance(one, Repository) else policy.Kind.REGISTRY
        said["policy"] = _document(one.policy, kind)
    return said


def _document(text: str, kind: policy.Kind) -> Any:
    """As YAML; as its own text where a number in it is written in a way that YAML would not keep."""
    value = json.loads(text)
    return value if policy.parse(json.dumps(value), kind).canonical() == text else text
