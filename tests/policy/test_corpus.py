"""Every case of the corpus, decided, explained and put into words."""

import itertools

import msgspec
import pytest

from moorage.policy import Decision, Finding, PolicyError, evaluate, sentence
from tests.policy.cases import CORPUS, Case, Check, corpus

CASES = corpus()

TAILS = {
    ("identity", False): " because no identity-based policy allows the {} action",
    ("identity", True): " with an explicit deny in an identity-based policy",
    ("resource", False): " because no resource-based policy allows the {} action",
    ("resource", True): " with an explicit deny in a resource-based policy",
    ("boundary", False): " because no permissions boundary allows the {} action",
    ("boundary", True): " with an explicit deny in a permissions boundary",
    ("session", False): " because no session policy allows the {} action",
    ("session", True): " with an explicit deny in a session policy",
    ("trust", False): " because no role trust policy allows the {} action",
    ("trust", True): " with an explicit deny in the role trust policy",
    ("scp", False): " because no service control policy allows the {} action",
    ("scp", True): " with an explicit deny in a service control policy",
    ("rcp", False): " because no resource control policy allows the {} action",
    ("rcp", True): " with an explicit deny in a resource control policy",
}
"""AWS's sentences (docs/development/policy-engine.md §7.2): the deciding set, and whether it denied explicitly."""


def test_the_corpus_is_large_and_says_each_rule_once() -> None:
    assert len(CASES) >= 300
    assert len({(case.file, case.rule) for case in CASES}) == len(CASES)
    assert all(case.source.startswith("docs/development/policy-engine.md §") for case in CASES)
    assert {case.file for case in CASES} == {path.stem for path in CORPUS.iterdir()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test a row. For mutation testing, a test a file: it names the tests of every mutant, and pytest reads names
    more slowly than it runs them."""
    if "cases" not in metafunc.fixturenames:
        return
    if metafunc.config.getoption("--hypothesis-profile") == "mutation":
        groups = itertools.groupby(CASES, key=lambda case: case.file)
        files = {file: list(cases) for file, cases in groups}
        metafunc.parametrize("cases", files.values(), ids=files.keys())
    else:
        metafunc.parametrize("cases", [[case] for case in CASES], ids=map(str, CASES))


def test_cases(cases: list[Case]) -> None:
    for case in cases:
        _check_case(case)


def _check_case(case: Case) -> None:
    if case.error is not None:
        with pytest.raises(PolicyError) as raised:
            case.make()
        assert {name: getattr(raised.value, name) for name in case.error} == case.error
        return
    for check in case.make():
        decision = evaluate(check.request, check.policies)
        assert (decision.allowed, decision.explicit, decision.decided_by) == (check.allowed, check.explicit, check.by)
        if check.step is not None:
            assert decision.rule == check.step
        _check_findings(check, decision)
        _check_words(check, decision)
        _check_detail(decision, evaluate(check.request, check.policies, detail=True), check)


def _findings(decision: Decision, name: str) -> list[Finding]:
    return [
        finding for one in decision.trace if one.set == name for policy in one.policies for finding in policy.statements
    ]


def _check_findings(check: Check, decision: Decision) -> None:
    for name, failed in check.failed.items():
        findings = _findings(decision, name)
        assert [finding.first_failed for finding in findings] == failed
        assert [finding.matched for finding in findings] == [element is None for element in failed]
    if check.strength is not None:
        assert _findings(decision, "resource")[0].strength == check.strength
    if check.because is not None:
        finding = _findings(decision, "identity")[0]
        assert finding.because == (None if finding.matched else check.because)


def _check_words(check: Check, decision: Decision) -> None:
    request = check.request
    if check.allowed:
        assert check.says is None
        return
    said = sentence(request, decision)
    tail = TAILS[check.by, check.explicit].format(request.action)
    assert said == (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} on resource: {request.resource}"
        f"{tail}"
    )
    if check.says is not None:
        assert tail == check.says


def _check_detail(plain: Decision, detailed: Decision, check: Check) -> None:
    """The full explanation is the same decision: each statement matched iff each of its elements did."""
    assert (detailed.allowed, detailed.explicit, detailed.decided_by, detailed.rule) == (
        plain.allowed,
        plain.explicit,
        plain.decided_by,
        plain.rule,
    )
    assert len(detailed.trace) == len(plain.trace)
    for one, other in zip(plain.trace, detailed.trace, strict=True):
        assert (one.set, one.result, one.strength, one.level) == (other.set, other.result, other.strength, other.level)
    for name in ("identity", "resource", "trust", "boundary", "session", "scp", "rcp"):
        for brief, full in zip(_findings(plain, name), _findings(detailed, name), strict=True):
            assert msgspec.structs.replace(full, detail=None) == brief
            assert full.detail is not None
            elements = {
                "principal": full.detail.principal,
                "action": full.detail.action,
                "resource": full.detail.resource,
                "condition": all(test.matched for test in full.detail.conditions),
            }
            failed = next((element for element, matched in elements.items() if matched is False), None)
            assert brief.first_failed == failed
    if check.because is not None:
        detail = _findings(detailed, "identity")[0].detail
        assert detail is not None
        assert detail.conditions[0].because == check.because
