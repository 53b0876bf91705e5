"""A declarative file is read: YAML in, a declaration or the first mistake with its line and path out.

Only YAML's safe core: no aliases (so no document is larger than it looks), no key twice, bounded size and depth.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

import yaml

from moorage import policy
from moorage.access.declared import organization
from moorage.access.declared.declaration import (
    SECTIONS,
    Account,
    File,
    Group,
    Managed,
    Organization,
    Registry,
    Repository,
    Role,
    User,
)
from moorage.access.organization import MalformedOrganization
from moorage.errors import MoorageError
from moorage.identity.roles import check_path
from moorage.names import AccountId, InvalidNameError, account_id, region, repository_name

BYTES: Final = 1 << 20
_DEPTH: Final = 40
_NAME: Final = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_PATH: Final = re.compile(r"/|/[!-~]{1,510}/")
_SCALARS: Final = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:null": type(None),
}
_MUTABILITY: Final = ("MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION")
_SCOPES: Final = ("V1", "V2")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[([0-9]+)\]")


class DeclarationInvalid(MoorageError):
    """A mistake in a declarative file; the message says where."""

    code = "DeclarationInvalidException"


class Node:
    """A part of the file: its YAML node, and the way to it."""

    def __init__(self, node: yaml.Node, path: str) -> None:
        self.node, self.path = node, path

    def wrong(self, why: str) -> NoReturn:
        mark = self.node.start_mark
        raise DeclarationInvalid(f"line {mark.line + 1}, column {mark.column + 1}, {self.path or '/'}: {why}")

    def members(self, known: Sequence[str] | None = None) -> dict[str, "Node"]:
        """The members of a mapping; with `known`, no others."""
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong("must be a mapping")
        found: dict[str, Node] = {}
        for key, value in self.node.value:
            if not isinstance(key, yaml.ScalarNode):
                Node(key, self.path).wrong("a key must be a text")
            member = Node(value, f"{self.path}/{key.value}")
            if key.value in found:
                Node(key, member.path).wrong("is there twice")
            if known is not None and key.value not in known:
                near = difflib.get_close_matches(key.value, known, 1)
                hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"
                Node(key, member.path).wrong(f"unknown key '{key.value}'{hint}")
            found[key.value] = member
        return found

    def items(self) -> list["Node"]:
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong("must be a list")
        return [Node(each, f"{self.path}/{number}") for number, each in enumerate(self.node.value)]

    def text(self) -> str:
        """Numbers and words such as `yes` are texts too, as they are written."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag == "tag:yaml.org,2002:null":
            self.wrong("must be a text")
        return str(self.node.value)

    def at(self, place: str) -> "Node":
        """The part that `place` names (`$.root.units[0]`), or as much of the way as there is."""
        node = self
        for name, number in _STEP.findall(place):
            parts: Mapping[Any, Node] = {}
            if isinstance(node.node, yaml.MappingNode):
                parts = node.members()
            elif isinstance(node.node, yaml.SequenceNode):
                parts = dict(enumerate(node.items()))
            found = parts.get(name or int(number))
            if found is None:
                break
            node = found
        return node

    def value(self) -> Any:
        """As JSON has it."""
        if isinstance(self.node, yaml.MappingNode):
            return {key: member.value() for key, member in self.members().items()}
        if isinstance(self.node, yaml.SequenceNode):
            return [each.value() for each in self.items()]
        kind = _SCALARS.get(self.node.tag)
        if kind is None:  # a date, or a tag of somebody's own
            return self.node.value
        if kind is str:
            return self.node.value
        try:
            return yaml.SafeLoader("").construct_object(self.node)
        except (ValueError, yaml.YAMLError):  # a tag that does not fit, or more digits than Python reads
            self.wrong("is no number, truth value or null")


def read(text: str) -> File:
    """What a declarative file says. DeclarationInvalid."""
    top = Node(_composed(text), "").members(("version", "accounts", "organization"))
    if "version" in top and top["version"].text() != "1":
        top["version"].wrong("this Moorage knows version 1")
    if "accounts" not in top and "organization" not in top:
        raise DeclarationInvalid("line 1, /: 'accounts' is missing")
    accounts = top["accounts"].members() if "accounts" in top else {}
    return File(
        dict(_account(name, node) for name, node in accounts.items()),
        "organization" in top,
        _organization(top["organization"]) if "organization" in top else None,
    )


def _composed(text: str) -> yaml.Node:
    if len(text.encode("utf-8", "surrogatepass")) > BYTES:
        raise DeclarationInvalid(f"the file is longer than {BYTES} bytes")
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = 0 if event.start_mark is None else event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                raise DeclarationInvalid(f"line {line}: aliases (*name) are not taken")
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                depth += 1
                if depth > _DEPTH:
                    raise DeclarationInvalid(f"line {line}: nested too deeply")
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                depth -= 1
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise DeclarationInvalid(f"{where}{error.problem}") from error
    except yaml.YAMLError as error:
        raise DeclarationInvalid("a character that YAML does not take") from error
    if node is None:
        raise DeclarationInvalid("the file is empty")
    return node


def _account(name: str, node: Node) -> tuple[AccountId, Account]:
    try:
        account = account_id(name)
    except InvalidNameError:
        node.wrong("an account is 12 digits, in quotes")
    parts = node.members(SECTIONS)

    def section(part: str, read_one: Callable[[Node, AccountId], Any]) -> dict[str, Any]:
        if part not in parts:
            return {}
        found, folded = {}, set()
        for key, each in parts[part].members().items():
            if _NAME.fullmatch(key) is None:
                each.wrong("is no name")
            if key.lower() in folded:
                each.wrong("names that differ by case alone are the same name")
            folded.add(key.lower())
            found[key] = read_one(each, account)
        return found

    repositories: dict[tuple[str, str], Repository] = {}
    if "repositories" in parts:
        for where, inside in parts["repositories"].members().items():
            for key, each in inside.members().items():
                repositories[_named(each, region, where), _named(each, repository_name, key)] = _repository(each)
    registries: dict[str, Registry] = {}
    if "registries" in parts:
        for where, each in parts["registries"].members().items():
            registries[_named(each, region, where)] = _registry(each)
    return account, Account(
        section("policies", _managed),
        section("groups", _group),
        section("users", _user),
        section("roles", _role),
        repositories,
        registries,
    )


def _named(node: Node, parse: Callable[[str], str], name: str) -> str:
    try:
        return parse(name)
    except InvalidNameError as error:
        node.wrong(str(error))


def _managed(node: Node, account: AccountId) -> Managed:
    parts = node.members(("document", "path", "description", "tags"))
    if "document" not in parts:
        node.wrong("'document' is missing")
    return Managed(
        _policy(parts["document"], policy.Kind.IDENTITY), _path(parts), _text(parts, "description"), _tags(parts)
    )


def _group(node: Node, account: AccountId) -> Group:
    parts = node.members(("path", "attached", "inline")) if not _is_null(node) else {}
    return Group(_path(parts), _attached(parts, account), _inline(parts))


def _user(node: Node, account: AccountId) -> User:
    parts = node.members(("path", "groups", "attached", "inline", "boundary", "tags")) if not _is_null(node) else {}
    groups = tuple(sorted({each.text() for each in parts["groups"].items()})) if "groups" in parts else ()
    return User(
        _path(parts), groups, _attached(parts, account), _inline(parts), _boundary(parts, account), _tags(parts)
    )


def _role(node: Node, account: AccountId) -> Role:
    parts = node.members(
        ("trust", "path", "description", "max_session_seconds", "attached", "inline", "boundary", "tags")
    )
    if "trust" not in parts:
        node.wrong("'trust' is missing")
    seconds = 3600
    if "max_session_seconds" in parts:
        given = parts["max_session_seconds"].value()
        if not isinstance(given, int) or isinstance(given, bool) or not 3600 <= given <= 43200:
            parts["max_session_seconds"].wrong("must be a number from 3600 to 43200")
        seconds = given
    return Role(
        _policy(parts["trust"], policy.Kind.TRUST),
        _role_path(parts),
        _text(parts, "description"),
        seconds,
        _attached(parts, account),
        _inline(parts),
        _boundary(parts, account),
        _tags(parts),
    )


def _repository(node: Node) -> Repository:
    known = ("mutability", "exclusions", "scan_on_push", "policy", "tags")
    parts = node.members(known) if not _is_null(node) else {}
    mutability = _one_of(parts, "mutability", _MUTABILITY, "MUTABLE")
    scan = parts["scan_on_push"].value() if "scan_on_push" in parts else False
    if not isinstance(scan, bool):
        parts["scan_on_push"].wrong("must be true or false")
    return Repository(
        mutability,
        tuple(each.text() for each in parts["exclusions"].items()) if "exclusions" in parts else (),
        scan,
        _policy(parts["policy"], policy.Kind.REPOSITORY) if "policy" in parts else None,
        _tags(parts),
    )


def _registry(node: Node) -> Registry:
    parts = node.members(("policy_scope", "policy")) if not _is_null(node) else {}
    return Registry(
        _one_of(parts, "policy_scope", _SCOPES, "V2"),
        _policy(parts["policy"], policy.Kind.REGISTRY) if "policy" in parts else None,
    )


def _organization(node: Node) -> Organization | None:
    """The document of `moorage organization` as YAML, where policies may be texts of JSON; none in an empty mapping."""
    document = node.value()
    if document == {}:
        return None
    for member, _ in organization.POLICIES:
        policies = document.get(member) if isinstance(document, dict) else None
        if not isinstance(policies, dict):
            continue
        for name, given in policies.items():
            if isinstance(given, str):
                try:
                    policies[name] = json.loads(given)
                except ValueError:
                    node.at(f"$.{member}.{name}").wrong("is no JSON")
    try:
        return organization.canonical(json.dumps(document))
    except MalformedOrganization as error:
        node.at(error.place).wrong(error.reason)


def _is_null(node: Node) -> bool:
    return isinstance(node.node, yaml.ScalarNode) and node.node.tag == "tag:yaml.org,2002:null"


def _text(parts: Mapping[str, Node], key: str) -> str:
    return parts[key].text() if key in parts else ""


def _one_of(parts: Mapping[str, Node], key: str, known: Sequence[str], default: str) -> str:
    given = _text(parts, key) if key in parts else default
    if given not in known:
        parts[key].wrong(f"must be one of {', '.join(known)}")
    return given


def _path(parts: Mapping[str, Node]) -> str:
    if "path" not in parts:
        return "/"
    given = parts["path"].text()
    if _PATH.fullmatch(given) is None:
        parts["path"].wrong("a path begins and ends with /")
    return given


def _role_path(parts: Mapping[str, Node]) -> str:
    path = _path(parts)
    try:
        check_path(path)
    except MoorageError as error:
        parts["path"].wrong(error.message)
    return path


def _tags(parts: Mapping[str, Node]) -> dict[str, str]:
    if "tags" not in parts:
        return {}
    return {key: each.text() for key, each in parts["tags"].members().items()}


def _arn(node: Node, account: AccountId) -> str:
    """A managed policy by its ARN, or by the name of one of the account's own at the path `/`."""
    given = node.text()
    return given if given.startswith("arn:") else f"arn:aws:iam::{account}:policy/{given}"


def _attached(parts: Mapping[str, Node], account: AccountId) -> tuple[str, ...]:
    return tuple(sorted({_arn(each, account) for each in parts["attached"].items()})) if "attached" in parts else ()


def _boundary(parts: Mapping[str, Node], account: AccountId) -> str | None:
    return _arn(parts["boundary"], account) if "boundary" in parts else None


def _inline(parts: Mapping[str, Node]) -> dict[str, str]:
    if "inline" not in parts:
        return {}
    return {key: _policy(each, policy.Kind.IDENTITY) for key, each in parts["inline"].members().items()}


def _policy(node: Node, kind: policy.Kind) -> str:
    """A policy, as YAML or as a text of JSON, in canonical form."""
    given = node.value()
    text = given if isinstance(given, str) else json.dumps(given)
    try:
        return policy.parse(text, kind).canonical()
    except policy.PolicyError as error:
        node.wrong(f"no policy: {error.reason}, at {error.pointer or '/'}")
