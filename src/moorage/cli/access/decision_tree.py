"""An explained decision as a tree for the terminal: the verdict, every policy asked, and what would change it."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

_RESULTS: Final[Mapping[str, tuple[str, str]]] = {
    "allow": ("allows it", "green"),
    "none": ("nothing in it allows it", "yellow"),
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
_MOST_OPENED: Final = 5


@dataclass(slots=True)
class Node:
    """A line and what belongs to it."""

    label: Text
    children: "list[Node]" = field(default_factory=list)

    def add(self, *parts: str | tuple[str, str]) -> "Node":
        child = Node(Text.assemble(*parts))
        self.children.append(child)
        return child


def show(console: Console, told: dict[str, Any]) -> None:
    """Print the explanation: as a tree on a terminal, else as indented plain lines."""
    top = tree(told)
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


def tree(told: dict[str, Any]) -> Node:
    """The whole explanation (docs/development/policy-engine.md §7.1, as `/_moorage/explain` gives it)."""
    request, allowed = told["request"], told["decision"] == "ALLOW"
    verdict = ("ALLOWED", "bold green") if allowed else ("DENIED", "bold red")
    top = Node(Text.assemble(verdict, "  ", (request["action"], "bold"), f" on {_resource(request)}"))
    caller = request["principal"]
    top.add(("who       ", "dim"), caller["arn"], (f"  {_nature(request)}", "dim"))
    seen = {each["key"]: ", ".join(each["values"]) for each in told["context"]}
    at = datetime.fromisoformat(told["time"]).astimezone()
    top.add(("when      ", "dim"), f"{at:%Y-%m-%d %H:%M:%S}, from {seen.get('aws:sourceip', '?')}", _times(told))
    top.add(("why       ", "dim"), (_reason(told), "" if allowed else "red"), (f"  {told['rule']}", "dim"))
    top.add(("decision  ", "dim"), told["id"])
    hidden = [each["called"] for each in told["sets"] if each.get("hidden")]
    for each in told["sets"]:
        if not each.get("hidden"):
            _set(top, each, request)
    absent = [each["called"] for each in told["sets"] if each.get("present") is False]
    if absent:
        top.add((f"not there: {', '.join(absent)}", "dim"))
    if hidden:
        top.add((f"not yours to read: {', '.join(hidden)}", "dim"))
    if told.get("cut"):
        names = ", ".join(told["cut"])
        top.add(
            (f"the record holds only the beginning of {names}, which these policies read: see the verdict", "yellow")
        )
    elif not allowed:
        _suggestions(top, told)
    return top


def _reason(told: dict[str, Any]) -> str:
    """What decided, in words; with the statement's name where the reader may know it."""
    name = told["decidedIn"]
    if name is None:
        return str(told.get("note") or told["reason"])
    statement = told["reason"].partition(" by ")[2]
    if told["decision"] == "ALLOW":
        return f"allowed by the {name}{f', {statement}' if statement else ''}"
    if told["kind"] == "explicit":
        return f"denied by the {name}{f', {statement}' if statement else ''}"
    return f"nothing in the {name} allows it"


def _resource(request: dict[str, Any]) -> str:
    name: str = request["resource"]
    before, is_repository, repository = name.partition(":repository/")
    if not is_repository:
        return name
    parts = before.split(":")
    return f"{repository} (account {parts[4]}, {parts[3]})"


def _nature(request: dict[str, Any]) -> str:
    kind = request["principal"]["type"]
    where = "of the same account" if request["sameAccount"] else "of another account"
    words = {"role": "role session", "federated": "federated session", "root": "account root", "service": "service"}
    return "nobody signed in" if kind == "anonymous" else f"{words.get(kind, kind)} {where}"


def _times(told: dict[str, Any]) -> str:
    return f" and {told['count'] - 1} times more until {told['lastTime']}" if told["count"] > 1 else ""


def _set(top: Node, told: dict[str, Any], request: dict[str, Any]) -> None:
    if not told["present"]:
        return
    words, style = _RESULTS[told["result"]]
    level = f" level {told['level'] + 1}" if "level" in told else ""
    grant = told.get("grant")
    node = top.add(
        (f"{told['called']}{level}: ", "bold"), (words, style), (f", {_GRANTS[grant]}" if grant else "", style)
    )
    single = told["set"] == "resource" and len(told["policies"]) == 1
    for policy in told["policies"]:
        within = node if single else node.add(policy["name"])
        for statement in policy["statements"]:
            _statement(within, statement, request)
    if not told["policies"]:
        node.add(("no policy is attached", "dim"))


def _statement(node: Node, told: dict[str, Any], request: dict[str, Any]) -> None:
    denies = told["effect"] == "Deny"
    name = f" {told['sid']!r}" if told["sid"] else ""
    title = f"{told['index'] + 1}. {told['effect']}{name}"
    if told["matched"]:
        style = "bold red" if denies else "green"
        line = node.add(("✗ " if denies else "✓ ", style), title, ": matches")
        for test in told["conditions"]:
            wanted = _listed([value if value is not None else "(no value)" for value in test["resolvedValues"]])
            given = ", ".join(test["contextValues"] or ()) or "absent"
            line.add((f"{test['key']} = {given} meets {test['operator']} {wanted}", "dim"))
        return
    line = node.add(("· ", "dim"), title, ": ", (_first_failed(told, request), "dim" if denies else "yellow"))
    failed = [test for test in told["conditions"] if not test["matched"]]
    if told["firstFailed"] == "condition":
        for test in failed[1:]:
            line.add("and ", (condition(test), "yellow"))


def _first_failed(told: dict[str, Any], request: dict[str, Any]) -> str:
    """The first element that did not match, what it says and what it saw."""
    element, statement = told["firstFailed"], told["statement"]
    if element == "condition":
        return condition(next(test for test in told["conditions"] if not test["matched"]))
    if element == "principal":
        name = "Principal" if "Principal" in statement else "NotPrincipal"
        return f"is for {_excluding(name)}{_principals(statement.get(name))}, not {request['principal']['arn']}"
    name, value = ("Action", request["action"]) if element == "action" else ("Resource", request["resource"])
    name = name if name in statement else f"Not{name}"
    return f"is about {_excluding(name)}{_listed(statement.get(name))}, not {value}"


def _excluding(name: str) -> str:
    return "everything but " if name.startswith("Not") else ""


def condition(test: dict[str, Any]) -> str:
    """A condition that did not hold, with the value it saw."""
    seen = ", ".join(test["contextValues"] or ())
    wanted = _listed([value if value is not None else "(no value)" for value in test["resolvedValues"]])
    written = _listed(test["policyValues"])
    words = _BECAUSE.get(test["because"])
    if words is None:
        wants = "anything but" if any(word in test["operator"] for word in _NEGATED) else "wants"
        operator = "" if test["operator"] in {"StringEquals", "IpAddress", "NotIpAddress", "Bool"} else test["operator"]
        verb = f"policy {wants}" if wants == "wants" else f"policy wants {wants}"
        words = f"{{key}} = {{seen}}, {verb}{' ' + operator if operator else ''} {{wanted}}"
    return words.format(key=test["key"], seen=seen, wanted=wanted, written=written, operator=test["operator"])


def _principals(value: Any) -> str:
    if isinstance(value, dict):
        return _listed([each for some in value.values() for each in (some if isinstance(some, list) else [some])])
    return str(value)


def _listed(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    shown = " or ".join(map(str, values[:4]))
    return f"{shown} or {len(values) - 4} more" if len(values) > 4 else shown


def _suggestions(top: Node, told: dict[str, Any]) -> None:
    request = told["request"]
    if told["outOfScope"] is not None:
        token, made_with = told["outOfScope"]["token"], told["outOfScope"]["madeWith"]
        node = top.add((f"out of the scope of token {token}, which stays as it was made; another would do:", "bold"))
        node.add((f"moorage token create NAME {shlex.join(made_with)}", "green"))
        return
    if told["note"] is not None and told["decidedIn"] is not None:
        top.add((told["note"], "yellow"))
    if told["suggestions"]:
        node = top.add(("what would allow it, the smallest change first", "bold"))
        for number, suggestion in enumerate(told["suggestions"], 1):
            _suggestion(node, number, suggestion, told["recorded"])
        node.add((f"the whole policy, ready to be set: moorage why {told['id']} --policy 1", "dim"))
    elif not told["ask"] and told["note"] is None:
        top.add(("no small change to these policies would allow it", "yellow"))
    for each in told["ask"]:
        # The account is asked for what the reader can neither read nor change.
        begin = "" if each["certain"] else "and, if it does not yet: "
        top.add(
            (f"{begin}ask account {each['account']} to let {_caller(request)} use {request['action']}", "yellow"),
            (f" in {each['policy']}", "yellow"),
        )


def _suggestion(node: Node, number: int, suggestion: dict[str, Any], recorded: dict[str, int]) -> None:
    changes = suggestion["changes"]
    one = node.add((f"{number}. ", "bold cyan"), (changes[0]["summary"], "cyan"))
    for change in changes[1:]:
        one.add(("and ", "bold cyan"), (change["summary"], "cyan"))
    for change in changes:
        if change["kind"] in {"add-statement", "replace-policy"}:
            one.add((json.dumps(change["after"]), "green"))
    for change in changes:
        one.add(("opens: ", "dim"), change["opens"])
    if "wouldAllow" in suggestion:
        _opened(one, suggestion, recorded)


def _caller(request: dict[str, Any]) -> str:
    principal = request["principal"]
    name: str = principal["roleArn"] or principal["arn"]
    return {"anonymous": "anonymous callers", "web": f"the web identity of {name}"}.get(principal["type"], name)


def _opened(node: Node, suggestion: dict[str, Any], recorded: dict[str, int]) -> None:
    """What of the recorded requests it would have let through."""
    also, total = suggestion["wouldAllow"], suggestion["wouldAllowCount"]
    looked = f"{recorded['requests']} denied requests recorded in {recorded['days']} days"
    line = node.add(("recorded: ", "dim"), f"of {looked} it would have let {total} through")
    for each in also[:_MOST_OPENED]:
        line.add((f"{each['times']}× {each['action']} by {each['principal']}", "dim"))
    if len(also) > _MOST_OPENED:
        line.add((f"and {len(also) - _MOST_OPENED} more", "dim"))
