"""The corpus (corpus/*.yaml) as cases: one row is one rule of IAM, and becomes the checks that prove it.

A file says its `kind`, the `source` of its rules, and its rows under the `columns` it names (or, for whole decisions,
one mapping a case). Conditions, actions and resources are tried in an Allow and in a Deny, in the element and in its
Not form.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from moorage.policy import ANONYMOUS, Kind, Named, Policies, Principal, Request, parse
from tests.policy.build import ACTION, ARN, OTHER, OWNER, federated, grant, right, role, root, user

CORPUS: Final = Path(__file__).parent / "corpus"

_SERVICE: Final = "replication.ecr.amazonaws.com"
CALLERS: Final = {
    "alice": user(),
    "bob": Principal("user", OWNER, f"arn:aws:iam::{OWNER}:user/bob", "AIDABBBBBBBBBBBBBBBBB", user_name="bob"),
    "ci": role(),
    "fed": federated(),
    "root": root(),
    "alice of other": user(OTHER),
    "ci of other": role(OTHER),
    "fed of other": federated(OTHER),
    "root of other": root(OTHER),
    "anonymous": ANONYMOUS,
    "web": Principal("web", "", f"arn:aws:iam::{OWNER}:oidc-provider/token.example.com", "provider:audience:subject"),
    "replication": Principal("service", "", _SERVICE, _SERVICE),
}
"""alice, a user; ci, a session of the role teams/builder; fed, a federated session of alice; and so on."""

Row = Mapping[str, Any]
Statements = list[dict[str, object]]


@dataclass(frozen=True)
class Check:
    """One request of one set of policies, and all that its decision must say."""

    request: Request
    policies: Policies
    allowed: bool
    by: str
    explicit: bool = False
    step: str | None = None
    failed: Mapping[str, list[str | None]] = field(default_factory=dict)
    """Of a set: the first element that failed of each statement; None for one that matched."""
    because: str | None = None
    """Of the first statement of the identity set: why its condition held or not."""
    strength: str | None = None
    """Of the first statement of the resource set: how it names the caller."""
    says: str | None = None
    """How the sentence of a denial ends."""


@dataclass(frozen=True)
class Case:
    """One row."""

    file: str
    source: str
    rule: str
    make: Callable[[], list[Check]]
    """Parses the policies, so it is called in the test. Raises PolicyError where the row is no policy."""
    error: Mapping[str, str] | None = None
    """Of a row that is no policy: what the PolicyError says (`code`, `pointer`, `reason`), as far as the row tells."""

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}"


class _Loader(yaml.CSafeLoader):
    """YAML in which a date is text, and so is every word but true, false and null."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)$"), ["t", "f"])


def corpus() -> list[Case]:
    """Every case of every file, in order."""
    return [case for path in sorted(CORPUS.glob("*.yaml")) for case in _cases(path)]


def _cases(path: Path) -> Iterator[Case]:
    head = yaml.load(path.read_text("utf-8"), _Loader)
    kind = head["kind"]
    if kind == "decisions":
        rows: list[Row] = [{**head.get("defaults", {}), **case} for case in head["cases"]]
    else:
        rows = [dict(zip(head["columns"], row, strict=True)) for row in head["rows"]]
    for row in rows:
        rule = row.get("rule") or f"{row['operator']} and a missing key"
        yield Case(path.stem, head["source"], rule, partial(_MAKERS[kind], head, row), _fault(row))


def _fault(row: Row) -> Mapping[str, str] | None:
    if "code" in row:
        return {"code": row["code"], "pointer": row["at"], "reason": row["reason"]}
    return {} if row.get("covers") == "invalid" else None


def _faulty(head: Row, row: Row) -> list[Check]:
    made = {**head["base"][row["policy"]], **row["statement"]}
    statement = {element: value for element, value in made.items() if value is not None}
    _document(Kind(row["policy"]), [statement])
    return []


def _document(kind: Kind, statements: Statements, version: str = "2012-10-17") -> list[Named]:
    head = {} if version == "none" else {"Version": version}
    return [Named(kind.value, "hash", parse(json.dumps({**head, "Statement": statements}), kind))]


def _identity(*statements: dict[str, object], version: str = "2012-10-17") -> Policies:
    return Policies(identity=_document(Kind.IDENTITY, list(statements), version))


def _context(given: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}


def _in_allow_and_deny(request: Request, statement: dict[str, object], failed: str | None, **more: Any) -> list[Check]:
    """The statement's elements decide in an Allow, and in a Deny beside an Allow of everything."""
    matches = failed is None
    version = more.pop("version", "2012-10-17")
    allow, deny = {**statement, "Effect": "Allow"}, {**statement, "Effect": "Deny"}
    return [
        Check(request, _identity(allow, version=version), matches, "identity", failed={"identity": [failed]}, **more),
        Check(
            request,
            _identity(deny, right(action="*"), version=version),
            not matches,
            "identity",
            explicit=matches,
            failed={"identity": [failed, None]},
            **more,
        ),
    ]


def _condition(head: Row, row: Row) -> list[Check]:
    context = _context(head.get("context", {}))
    if row["given"] is not None:
        context |= _context({"aws:key": row["given"]})
    request = Request(user(), ACTION, ARN, OWNER, context)
    statement = right(Condition={row["operator"]: {"aws:Key": row["values"]}})
    failed = None if row["holds"] else "condition"
    return _in_allow_and_deny(
        request, statement, failed, because=row["because"], version=head.get("version", "2012-10-17")
    )


def _missing(_head: Row, row: Row) -> list[Check]:
    checks = []
    for column, holds in list(row.items())[2:]:
        qualifier, _, ending = ("" if column == "plain" else column).rpartition(":")
        operator = f"{qualifier + ':' if qualifier else ''}{row['operator']}{ending.strip()}"
        for context in ({}, {"aws:key": ()}):
            statement = right(Condition={operator: {"aws:Key": row["values"]}})
            request = Request(user(), ACTION, ARN, OWNER, context)
            checks += _in_allow_and_deny(request, statement, None if holds else "condition")
    return checks


def _action(_head: Row, row: Row) -> list[Check]:
    request = Request(user(), row["action"], ARN, OWNER, {})
    covers = row["covers"]
    return [
        *_in_allow_and_deny(request, {"Action": row["entries"], "Resource": "*"}, None if covers else "action"),
        *_in_allow_and_deny(request, {"NotAction": row["entries"], "Resource": "*"}, "action" if covers else None),
    ]


def _resource(head: Row, row: Row) -> list[Check]:
    request = Request(user(), ACTION, row["resource"], OWNER, _context(head.get("context", {})))
    covers = row["covers"]
    listed = {"Action": "*", "Resource": row["entries"]}
    others = {"Action": "*", "NotResource": row["entries"]}
    version = head.get("version", "2012-10-17")
    checks = _in_allow_and_deny(request, listed, None if covers is True else "resource", version=version)
    in_allow, in_deny = _in_allow_and_deny(request, others, "resource" if covers is True else None, version=version)
    if covers == "unresolved":
        # It neither excludes nor grants.
        in_allow = Check(request, in_allow.policies, False, "identity", failed={"identity": ["resource"]})
    return [*checks, in_allow, in_deny]


def _principal(_head: Row, row: Row) -> list[Check]:
    caller, strength = CALLERS[row["caller"]], row["strength"]
    request = Request(caller, ACTION, ARN, OWNER, {})
    named = strength != "none"
    denied = {"Effect": "Deny", "Action": "ecr:*"}
    checks = []
    for element, matches in (("Principal", named), ("NotPrincipal", not named)):
        # Beside the star everyone who has identity policies is allowed, on both sides.
        allow_all = [grant("*"), {**denied, element: row["principal"]}]
        policies = Policies(
            identity=_document(Kind.IDENTITY, [right()]),
            session=_document(Kind.SESSION, [right()]),
            resource=_document(Kind.REPOSITORY, [allow_all[1], allow_all[0]]),
        )
        by = "resource" if matches or caller.kind != "root" or caller.account != OWNER else "root"
        failed = {"resource": [None if matches else "principal", None]}
        how = strength if element == "Principal" else "any" if matches else "none"
        checks.append(Check(request, policies, not matches, by, explicit=matches, failed=failed, strength=how))
    return checks


def _truth(_head: Row, row: Row) -> list[Check]:
    def attached(kind: Kind, mark: str) -> list[Named] | None:
        return None if mark == "-" else _document(kind, [right() if mark == "y" else right(action="s3:*")])

    policies = Policies(
        identity=attached(Kind.IDENTITY, row["identity"]),
        resource=None if row["names"] is None else _document(Kind.REPOSITORY, [grant(row["names"])]),
        boundary=attached(Kind.BOUNDARY, row["boundary"]),
        session=attached(Kind.SESSION, row["session"]),
    )
    allowed, step = row["result"] == "allow", row["step"]
    by = row["result"]
    if allowed:
        by = {"5c": "identity", "3-": "root"}.get(step[:2], "resource")
    return [Check(Request(CALLERS[row["caller"]], ACTION, ARN, OWNER, {}), policies, allowed, by, step=step)]


def _decision(_head: Row, row: Row) -> list[Check]:
    def policy(kind: Kind, given: Any) -> list[Named]:
        if given == "allows":
            given = [right()]
        elif given == "silent":
            given = [right(action="s3:*")]
        return _document(kind, given) if given else []

    def attached(kind: Kind, name: str) -> list[Named] | None:
        return policy(kind, row[name]) if name in row else None

    def levels(kind: Kind, name: str) -> list[list[Named]] | None:
        return [policy(kind, level) for level in row[name]] if name in row else None

    resource, registry = attached(Kind.REPOSITORY, "resource"), attached(Kind.REGISTRY, "registry")
    policies = Policies(
        identity=attached(Kind.IDENTITY, "identity"),
        resource=None if resource is None and registry is None else [*(resource or ()), *(registry or ())],
        boundary=attached(Kind.BOUNDARY, "boundary"),
        session=attached(Kind.SESSION, "session"),
        trust=attached(Kind.TRUST, "trust"),
        scp=levels(Kind.SCP, "scp"),
        rcp=levels(Kind.RCP, "rcp"),
    )
    request = Request(
        CALLERS[row.get("caller", "alice")],
        row.get("action", ACTION),
        row.get("resource_arn", ARN),
        OWNER,
        _context(row.get("context", {})),
    )
    unknown = row.keys() - _DECISION_KEYS
    assert not unknown, f"{row['rule']}: {unknown}"
    return [
        Check(
            request,
            policies,
            row["verdict"] == "allow",
            row["by"],
            explicit=row["verdict"] == "explicit deny",
            step=row.get("step"),
            failed=row.get("failed", {}),
            says=row.get("says"),
        )
    ]


_SETS: Final = ("identity", "resource", "registry", "boundary", "session", "trust", "scp", "rcp")
_REQUEST: Final = ("caller", "action", "resource_arn", "context")
_DECISION_KEYS: Final = {"rule", "verdict", "by", "step", "failed", "says", *_REQUEST, *_SETS}
_MAKERS: Final[dict[str, Callable[[Row, Row], list[Check]]]] = {
    "conditions": _condition,
    "missing": _missing,
    "actions": _action,
    "resources": _resource,
    "principals": _principal,
    "truth": _truth,
    "decisions": _decision,
    "faults": _faulty,
}
