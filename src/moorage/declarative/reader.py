"""Reading declarative files: YAML to a declaration, or to the first error with its line and path."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from moorage import policy
from moorage.access.organization import MalformedOrganization
from moorage.declarative import organization
from moorage.declarative.declaration import (
    SECTIONS,
    Account,
    DeclaredPolicy,
    File,
    Group,
    Organization,
    Registry,
    Repository,
    Role,
    User,
)
from moorage.declarative.yaml_nodes import DeclarationInvalid, Node, NodeError, free, parse
from moorage.errors import MoorageError
from moorage.identity.policies.managed_policies import PER_ACCOUNT
from moorage.identity.principals.entity import GROUP, ROLE, USER
from moorage.identity.principals.roles import check_path
from moorage.identity.principals.tags import problem_of
from moorage.names import AccountId, InvalidNameError, account_id, region, repository_name

_NAME: Final = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_PATH: Final = re.compile(r"/|/[!-~]{1,510}/")
_MUTABILITY: Final = ("MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION")
_SCOPES: Final = ("V1", "V2")


def read(text: str) -> File:
    """Return the contents of a declarative file. DeclarationInvalid."""
    top = parse(text)
    try:
        return _file(top)
    except NodeError as error:
        raise error.refusal(top) from None
    finally:
        free(top)


def _file(top: Node) -> File:
    parts = top.members(("version", "accounts", "organization"))
    if "version" in parts and parts["version"].text() != "1":
        parts["version"].fail("this version of Moorage reads version 1")
    if "accounts" not in parts and "organization" not in parts:
        raise DeclarationInvalid("line 1, /: 'accounts' is missing")
    accounts = parts["accounts"].members() if "accounts" in parts else {}
    return File(
        dict(_account(name, node) for name, node in accounts.items()),
        "organization" in parts,
        _organization(parts["organization"]) if "organization" in parts else None,
    )


def _account(name: str, node: Node) -> tuple[AccountId, Account]:
    try:
        account = account_id(name)
    except InvalidNameError:
        node.fail("an account is 12 digits, in quotes")
    parts = node.members(SECTIONS)

    def section(part: str, read_one: Callable[[Node, AccountId], Any], quota: int, most: int = 128) -> dict[str, Any]:
        if part not in parts:
            return {}
        if len(parts[part].members()) > quota:
            parts[part].fail(f"an account has at most {quota} {part}")
        found, folded = {}, set()
        for key, each in parts[part].members().items():
            if _NAME.fullmatch(key) is None or len(key) > most:
                each.fail(
                    "is not a valid name" if len(key) <= most else f"a name here can have at most {most} characters"
                )
            if key.lower() in folded:
                each.fail("names that differ only in case are the same name")
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
        section("policies", _managed, PER_ACCOUNT),
        section("groups", _group, GROUP.per_account),
        section("users", _user, USER.per_account, 64),
        section("roles", _role, ROLE.per_account, 64),
        repositories,
        registries,
    )


def _named(node: Node, parse: Callable[[str], str], name: str) -> str:
    try:
        return parse(name)
    except InvalidNameError as error:
        node.fail(str(error))


def _managed(node: Node, _account: AccountId) -> DeclaredPolicy:
    parts = node.members(("document", "path", "description", "tags"))
    if "document" not in parts:
        node.fail("'document' is missing")
    return DeclaredPolicy(
        _policy(parts["document"], policy.Kind.IDENTITY), _path(parts), _description(parts), _iam_tags(parts)
    )


def _group(node: Node, account: AccountId) -> Group:
    parts = node.members(("path", "attached", "inline")) if not node.is_null else {}
    return Group(_path(parts), _attached(parts, account), _inline(parts))


def _user(node: Node, account: AccountId) -> User:
    parts = node.members(("path", "groups", "attached", "inline", "boundary", "tags")) if not node.is_null else {}
    groups = tuple(sorted({_name(each) for each in parts["groups"].items()})) if "groups" in parts else ()
    return User(
        _path(parts), groups, _attached(parts, account), _inline(parts), _boundary(parts, account), _iam_tags(parts)
    )


def _role(node: Node, account: AccountId) -> Role:
    parts = node.members(
        ("trust", "path", "description", "max_session_seconds", "attached", "inline", "boundary", "tags")
    )
    if "trust" not in parts:
        node.fail("'trust' is missing")
    seconds = 3600
    if "max_session_seconds" in parts:
        given = parts["max_session_seconds"].value()
        if not isinstance(given, int) or isinstance(given, bool) or not 3600 <= given <= 43200:
            parts["max_session_seconds"].fail("must be a number from 3600 to 43200")
        seconds = given
    return Role(
        _policy(parts["trust"], policy.Kind.TRUST),
        _role_path(parts),
        _description(parts),
        seconds,
        _attached(parts, account),
        _inline(parts),
        _boundary(parts, account),
        _iam_tags(parts),
    )


def _repository(node: Node) -> Repository:
    known = ("mutability", "exclusions", "scan_on_push", "policy", "tags")
    parts = node.members(known) if not node.is_null else {}
    mutability = _one_of(parts, "mutability", _MUTABILITY, "MUTABLE")
    scan = parts["scan_on_push"].value() if "scan_on_push" in parts else False
    if not isinstance(scan, bool):
        parts["scan_on_push"].fail("must be true or false")
    return Repository(
        mutability,
        tuple(each.text() for each in parts["exclusions"].items()) if "exclusions" in parts else (),
        scan,
        _policy(parts["policy"], policy.Kind.REPOSITORY) if "policy" in parts else None,
        _tags(parts),
    )


def _registry(node: Node) -> Registry:
    parts = node.members(("policy_scope", "policy")) if not node.is_null else {}
    return Registry(
        _one_of(parts, "policy_scope", _SCOPES, "V2"),
        _policy(parts["policy"], policy.Kind.REGISTRY) if "policy" in parts else None,
    )


def _organization(node: Node) -> Organization | None:
    """Return the organization: its document as YAML, where policies may be JSON texts. An empty mapping means none."""
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
                    node.at(f"$.{member}.{name}").fail("is not valid JSON")
    try:
        return organization.canonical(json.dumps(document))
    except MalformedOrganization as error:
        node.at(error.place).fail(error.reason)


def _text(parts: Mapping[str, Node], key: str) -> str:
    return parts[key].text() if key in parts else ""


def _description(parts: Mapping[str, Node]) -> str:
    given = _text(parts, "description")
    if len(given) > 1000:
        parts["description"].fail("has more than 1000 characters")
    return given


def _one_of(parts: Mapping[str, Node], key: str, known: Sequence[str], default: str) -> str:
    given = _text(parts, key) if key in parts else default
    if given not in known:
        parts[key].fail(f"must be one of {', '.join(known)}")
    return given


def _path(parts: Mapping[str, Node]) -> str:
    if "path" not in parts:
        return "/"
    given = parts["path"].text()
    if _PATH.fullmatch(given) is None:
        parts["path"].fail("a path begins and ends with /")
    return given


def _role_path(parts: Mapping[str, Node]) -> str:
    path = _path(parts)
    try:
        check_path(path)
    except MoorageError as error:
        parts["path"].fail(error.message)
    return path


def _tags(parts: Mapping[str, Node]) -> dict[str, str]:
    """Return the tags of a repository, which are checked when they are set."""
    if "tags" not in parts:
        return {}
    return {key: each.text() for key, each in parts["tags"].members().items()}


def _iam_tags(parts: Mapping[str, Node]) -> dict[str, str]:
    found = _tags(parts)
    problem = problem_of(found)
    if problem is not None:
        parts["tags"].fail(problem)
    return found


def _name(node: Node) -> str:
    given = node.text()
    if _NAME.fullmatch(given) is None:
        node.fail("is not a valid name")
    return given


def _arn(node: Node, account: AccountId) -> str:
    """Return the ARN of a managed policy, given as such or as the name of the account's own policy at the path `/`."""
    given = node.text()
    return given if given.startswith("arn:") else f"arn:aws:iam::{account}:policy/{_name(node)}"


def _attached(parts: Mapping[str, Node], account: AccountId) -> tuple[str, ...]:
    return tuple(sorted({_arn(each, account) for each in parts["attached"].items()})) if "attached" in parts else ()


def _boundary(parts: Mapping[str, Node], account: AccountId) -> str | None:
    return _arn(parts["boundary"], account) if "boundary" in parts else None


def _inline(parts: Mapping[str, Node]) -> dict[str, str]:
    found = {}
    for key, each in parts["inline"].members().items() if "inline" in parts else ():
        if _NAME.fullmatch(key) is None:
            each.fail("is not a valid name")
        found[key] = _policy(each, policy.Kind.IDENTITY)
    return found


def _policy(node: Node, kind: policy.Kind) -> str:
    """Return a policy, given as YAML or as a JSON text, in canonical form."""
    given = node.value()
    text = given if isinstance(given, str) else json.dumps(given)
    try:
        return policy.parse(text, kind).canonical()
    except policy.PolicyError as error:
        node.fail(f"not a valid policy: {error.reason}, at {error.pointer or '/'}")
