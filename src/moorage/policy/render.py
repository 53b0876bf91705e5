"""A decision as a tree of plain text, for `moorage why` and for logs."""

from collections.abc import Iterator

from moorage.policy.decision import Decision, PolicyTrace, SetTrace
from moorage.policy.sentence import sentence, short
from moorage.policy.statement import Finding, TestDetail


def render(decision: Decision) -> str:
    """The decision and how every statement met the request, line by line, without a newline at the end."""
    return "\n".join(_lines(decision))


def _lines(decision: Decision) -> Iterator[str]:
    request = decision.request
    yield f"{'ALLOW' if decision.allowed else 'DENY'}  {request.action} on {request.resource}"
    yield f"  by      {request.principal.arn} ({request.principal.kind})"
    yield f"  because {short(decision)}"
    yield f"  rule    {decision.rule}"
    if not decision.allowed:
        yield f"  message {sentence(request, decision)}"
    missing = decision.missing_keys()
    if missing:
        yield f"  missing {', '.join(missing)}"
    for one in decision.trace:
        yield from _set_lines(one)


def _set_lines(one: SetTrace) -> Iterator[str]:
    level = f" level {one.level + 1}" if one.set in {"scp", "rcp"} else ""
    strength = f" (names the caller: {one.strength})" if one.strength != "none" else ""
    yield f"  {one.set}{level}: {one.result}{strength}"
    for policy in one.policies:
        yield from _policy_lines(policy)


def _policy_lines(policy: PolicyTrace) -> Iterator[str]:
    yield f"    policy {policy.name}"
    for finding in policy.statements:
        yield f"      {_finding(finding)}"
        if finding.detail is not None:
            for test in finding.detail.conditions:
                yield f"        {_test(test)}"


def _finding(finding: Finding) -> str:
    name = f" {finding.sid!r}" if finding.sid else ""
    line = f"{finding.index + 1}.{name} {finding.effect}"
    if finding.matched:
        return f"{line}: matched"
    if finding.operator is not None:
        return f"{line}: condition {finding.operator} {finding.key} failed ({finding.because})"
    return f"{line}: {finding.first_failed} did not match"


def _test(test: TestDetail) -> str:
    given = "absent" if test.context_values is None else ", ".join(test.context_values)
    wanted = ", ".join("(no value)" if value is None else value for value in test.resolved_values)
    verdict = "holds" if test.matched else "fails"
    return f"{verdict}: {test.operator} {test.key} = {given}; policy: {wanted} ({test.because})"
