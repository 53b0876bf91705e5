"""A declaration as a declarative file: what `reading` reads back as the same declaration."""

import json
from typing import Any

import yaml

from moorage import policy
from moorage.access.declared.declaration import Account, File, Managed, Organization, Registry, Repository
from moorage.access.declared.organization import POLICIES


def write(file: File) -> str:
    """YAML; what is as it is by default is left out."""
    said: dict[str, Any] = {"version": 1, "accounts": {str(name): _account(one) for name, one in file.accounts.items()}}
    if file.on_organization:
        said["organization"] = {} if file.organization is None else _organization(file.organization)
    text: str = yaml.dump(said, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


class _Dumper(yaml.SafeDumper):
    """Without aliases: nothing in the file stands for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _account(account: Account) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for section in ("policies", "groups", "users", "roles"):
        of_section = getattr(account, section)
        if of_section:
            said[section] = {name: _entity(of_section[name]) for name in sorted(of_section)}
    for region, name in sorted(account.repositories):
        in_region = said.setdefault("repositories", {}).setdefault(str(region), {})
        in_region[str(name)] = _entity(account.repositories[region, name])
    if account.registries:
        said["registries"] = {str(region): _entity(one) for region, one in sorted(account.registries.items())}
    return said


def _organization(one: Organization) -> Any:
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
    if isinstance(one, Managed):
        said["document"] = _document(one.document, policy.Kind.IDENTITY)
    if isinstance(one, Repository | Registry) and one.policy is not None:
        kind = policy.Kind.REPOSITORY if isinstance(one, Repository) else policy.Kind.REGISTRY
        said["policy"] = _document(one.policy, kind)
    return said


def _document(text: str, kind: policy.Kind) -> Any:
    """As YAML; as its own text where a number in it is written in a way that YAML would not keep."""
    value = json.loads(text)
    return value if policy.parse(json.dumps(value), kind).canonical() == text else text
