"""Prints an explained decision as a tree: the verdict, the evaluated policies, and changes that would allow it."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from msgspec import UNSET
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from moorage.analysis.explanation import ExplainedDecision, ExplainedSuggestion, RecordedDenials
from moorage.policy import NewlyAllowed
from moorage.policy.analysis.explanation import ExplainedCondition, ExplainedRequest, ExplainedSet, ExplainedStatement

_RESULTS: Final[Mapping[str, tuple[str, str]]] = {
    "allow": ("allows it", "green"),
    "none": ("no statement allows it", "yellow"),
    "deny": ("denies it", "bold red"),
}
_GRANTS: Final[Mapping[str, str]] = {
    "account": "names the caller's account",
    "limited": "names the caller's role or user; a boundary and a session policy still limit it",
    "direct": "names the caller",
    "any": "names everyone",
    "service": "names the service",
    "federated": "names the identity provider",
}
_BECAUSE: Final[Mapping[str, str]] = {
    "key-missing": "the request has no {key}; the policy wants {wanted}",
    "empty-set": "the request has no {key}; the policy wants {wanted}",
    "multivalued-without-set-operator": "{key} has several values, and {operator} compares one; use ForAnyValue:",
    "variable-unresolved": "the policy wants {written}, which has no value in this request",
    "type-unparsable": "{key} = {seen}, or {wanted}, cannot be read by {operator}",
    "key-present": "the request has {key} = {seen}, and the policy wants it absent",
}
_NEGATED: Final = ("not", "Not")
_MAX_LISTED: Final = 5


@dataclass(slots=True)
class Node:
    """A line of the tree, with the lines below it."""

    label: Text
    children: "list[Node]" = field(default_factory=list)

    def add(self, *parts: str | tuple[str, str]) -> "Node":
        child = Node(Text.assemble(*parts))
        self.children.append(child)
        return child


def show(console: Console, explained: ExplainedDecision) -> None:
    """Print the explanation: as a tree on a terminal, otherwise as indented plain lines."""
    top = tree(explained)
    if console.is_terminal:
        drawn = Tree(top.label, guide_style="dim")
        _draw(drawn, top)
        console.print(drawn, highlight=False)
    else:
        for text in _plain(top, 0):
            console.print(text, highlight=False, soft_wrap=True, markup=False)


def _draw(drawn: Tree, node: Node) -> None:
    for child in node.children:
        _draw(drawn.add(child.label), child)


def _plain(node: Node, depth: int) -> Iterator[str]:
    for line in node.label.plain.splitlines():
        yield f"{'  ' * depth}{line}"
    for child in node.children:
        yield from _plain(child, depth + 1)


def tree(explained: ExplainedDecision) -> Node:
    """Return the whole explanation as a tree."""
    request, allowed = explained.request, explained.decision == "ALLOW"
    verdict = ("ALLOWED", "bold green") if allowed else ("DENIED", "bold red")
    top = Node(Text.assemble(verdict, "  ", (request.action, "bold"), f" on {_resource(request.resource)}"))
    top.add(("who       ", "dim"), request.principal.arn, (f"  {_caller_kind(request)}", "dim"))
    seen = {each.key: ", ".join(each.values) for each in explained.context}
    at = datetime.fromisoformat(explained.time).astimezone()
    top.add(
        ("when      ", "dim"),
        f"{at:%Y-%m-%d %H:%M:%S}, from {seen.get('aws:sourceip', '?')}",
        _repetitions(explained),
    )
    top.add(("why       ", "dim"), (_reason(explained), "" if allowed else "red"), (f"  {explained.rule}", "dim"))
    top.add(("decision  ", "dim"), explained.id)
    for each in explained.sets:
        if not each.hidden:
            _set(top, each, request)
    absent = [each.called for each in explained.sets if each.present is False]
    if absent:
        top.add((f"not attached: {', '.join(absent)}", "dim"))
    hidden = [each.called for each in explained.sets if each.hidden]
    if hidden:
        top.add((f"hidden from you: {', '.join(hidden)}", "dim"))
    if explained.cut:
        names = ", ".join(explained.cut)
        top.add((f"the record holds only the beginning of {names}, which these policies read", "yellow"))
    elif not allowed:
        _suggestions(top, explained)
    return top


def _reason(explained: ExplainedDecision) -> str:
    """Return what decided; with the statement's name if the reader may see it."""
    name = explained.decided_in
    if name is None:
        return explained.note or explained.reason
    statement = explained.reason.partition(" by ")[2]
    if explained.decision == "ALLOW":
        return f"allowed by the {name}{f', {statement}' if statement else ''}"
    if explained.kind == "explicit":
        return f"denied by the {name}{f', {statement}' if statement else ''}"
    return f"nothing in the {name} allows it"


def _resource(arn: str) -> str:
    before, is_repository, repository = arn.partition(":repository/")
    if not is_repository:
        return arn
    segments = before.split(":")
    return f"{repository} (account {segments[4]}, {segments[3]})"


def _caller_kind(request: ExplainedRequest) -> str:
    kind = request.principal.type
    where = "of the same account" if request.same_account else "of another account"
    words = {"role": "role session", "federated": "federated session", "root": "account root", "service": "service"}
    return "without credentials" if kind == "anonymous" else f"{words.get(kind, kind)} {where}"


def _repetitions(explained: ExplainedDecision) -> str:
    return f" and {explained.count - 1} times more until {explained.last_time}" if explained.count > 1 else ""


def _set(top: Node, explained: ExplainedSet, request: ExplainedRequest) -> None:
    if not explained.present or not explained.result:
        return
    words, style = _RESULTS[explained.result]
    level = "" if explained.level is UNSET else f" level {explained.level + 1}"
    grant = f", {_GRANTS[explained.grant]}" if explained.grant else ""
    node = top.add((f"{explained.called}{level}: ", "bold"), (words, style), (grant, style))
    policies = explained.policies or []
    single = explained.set == "resource" and len(policies) == 1
    for policy in policies:
        parent = node if single else node.add(policy.name)
        for statement in policy.statements:
            _statement(parent, statement, request)
    if not policies:
        node.add(("no policy is attached", "dim"))


def _statement(node: Node, explained: ExplainedStatement, request: ExplainedRequest) -> None:
    denies = explained.effect == "Deny"
    name = f" {explained.sid!r}" if explained.sid else ""
    title = f"{explained.index + 1}. {explained.effect}{name}"
    if explained.matched:
        style = "bold red" if denies else "green"
        line = node.add(("✗ " if denies else "✓ ", style), title, ": matches")
        for test in explained.conditions:
            given = ", ".join(test.context_values or ()) or "absent"
            line.add((f"{test.key} = {given} meets {test.operator} {_resolved(test)}", "dim"))
        return
    line = node.add(("· ", "dim"), title, ": ", (_first_failed(explained, request), "dim" if denies else "yellow"))
    if explained.first_failed == "condition":
        for test in [test for test in explained.conditions if not test.matched][1:]:
            line.add("and ", (condition(test), "yellow"))


def _first_failed(explained: ExplainedStatement, request: ExplainedRequest) -> str:
    """Return the first element that did not match, with the value it was compared with."""
    element, statement = explained.first_failed, explained.statement
    if element == "condition":
        return condition(next(test for test in explained.conditions if not test.matched))
    if element == "principal":
        name = "Principal" if "Principal" in statement else "NotPrincipal"
        return f"is for {_excluding(name)}{_principals(statement.get(name))}, not {request.principal.arn}"
    name, value = ("Action", request.action) if element == "action" else ("Resource", request.resource)
    name = name if name in statement else f"Not{name}"
    return f"is about {_excluding(name)}{_listed(statement.get(name))}, not {value}"


def _excluding(name: str) -> str:
    return "everything but " if name.startswith("Not") else ""


def condition(test: ExplainedCondition) -> str:
    """Return why a condition was not met, with the value it was compared with."""
    seen = ", ".join(test.context_values or ())
    words = _BECAUSE.get(test.because)
    if words is None:
        wants = "policy wants anything but" if any(word in test.operator for word in _NEGATED) else "policy wants"
        operator = "" if test.operator in {"StringEquals", "IpAddress", "NotIpAddress", "Bool"} else f" {test.operator}"
        words = f"{{key}} = {{seen}}, {wants}{operator} {{wanted}}"
    return words.format(
        key=test.key, seen=seen, wanted=_resolved(test), written=_listed(test.policy_values), operator=test.operator
    )


def _resolved(test: ExplainedCondition) -> str:
    return _listed([value if value is not None else "(no value)" for value in test.resolved_values])


def _principals(value: Any) -> str:
    if isinstance(value, dict):
        return _listed([each for some in value.values() for each in (some if isinstance(some, list) else [some])])
    return str(value)


def _listed(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    shown = " or ".join(map(str, values[:4]))
    return f"{shown} or {len(values) - 4} more" if len(values) > 4 else shown


def _suggestions(top: Node, explained: ExplainedDecision) -> None:
    scope, recorded = explained.out_of_scope, explained.recorded
    if scope is not None:
        node = top.add(
            (f"outside the scope of token {scope.token}, which cannot be changed; create another token:", "bold")
        )
        node.add((f"moorage token create NAME {shlex.join(scope.made_with)}", "green"))
        return
    if explained.note is not None and explained.decided_in is not None:
        top.add((explained.note, "yellow"))
    if explained.suggestions and recorded is not None:
        node = top.add(("changes that would allow it, smallest first", "bold"))
        for number, suggestion in enumerate(explained.suggestions, 1):
            _suggestion(node, number, suggestion, recorded)
        node.add((f"print the changed policy: moorage why {explained.id} --policy 1", "dim"))
    elif not explained.ask and explained.note is None:
        top.add(("no small change to these policies would allow it", "yellow"))
    for each in explained.ask:
        # The reader can neither see nor change these policies.
        begin = "" if each.certain else "unless it is allowed there already, "
        asked = f"ask account {each.account} to let {_caller(explained.request)} use {explained.request.action}"
        top.add((f"{begin}{asked}", "yellow"), (f" in {each.policy}", "yellow"))


def _suggestion(node: Node, number: int, suggestion: ExplainedSuggestion, recorded: RecordedDenials) -> None:
    changes = suggestion.changes
    line = node.add((f"{number}. ", "bold cyan"), (changes[0].summary, "cyan"))
    for change in changes[1:]:
        line.add(("and ", "bold cyan"), (change.summary, "cyan"))
    for change in changes:
        if change.kind in {"add-statement", "replace-policy"}:
            line.add((json.dumps(change.after), "green"))
    for change in changes:
        line.add(("opens: ", "dim"), change.opens)
    if suggestion.would_allow is not UNSET:
        _newly_allowed(line, suggestion.would_allow, suggestion.would_allow_count or 0, recorded)


def _caller(request: ExplainedRequest) -> str:
    principal = request.principal
    name = principal.role_arn or principal.arn
    return {"anonymous": "anonymous callers", "web": f"the web identity of {name}"}.get(principal.type, name)


def _newly_allowed(node: Node, allowed: list[NewlyAllowed], count: int, recorded: RecordedDenials) -> None:
    """Add the recorded requests that a suggestion would have allowed."""
    line = node.add(
        ("recorded: ", "dim"),
        f"it would have allowed {count} of {recorded.requests} denied requests in {recorded.days} days",
    )
    for each in allowed[:_MAX_LISTED]:
        line.add((f"{each.times}× {each.action} by {each.principal}", "dim"))
    if len(allowed) > _MAX_LISTED:
        line.add((f"and {len(allowed) - _MAX_LISTED} more", "dim"))
