"""How a text is taken apart into variables; what they do in policies is in the corpus
(docs/development/policy-engine.md §3.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.policy.matching.variables import Context, Template, Variable, shown
from moorage.policy.matching.wildcard import Wild


def parts(text: str, *, wildcards: bool = True) -> tuple[object, ...]:
    return Template(text, variables=True, wildcards=wildcards).parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("a*b?", ("a", Wild.ANY, "b", Wild.ONE)),
        ("a${k}b", ("a", Variable("k", None), "b")),
        ("${k}${l}", (Variable("k", None), Variable("l", None))),
        ("${ K }", (Variable("k", None),)),
        ("${k,'d'}", (Variable("k", "d"),)),
        ("${k,  'd e}f, g'}", (Variable("k", "d e}f, g"),)),
        ("${k, ''}", (Variable("k", ""),)),
        ("${k, d}", (Variable("", None),)),
        ("${k, 'd' }", (Variable("", None),)),
        ("${k 'd'}", (Variable("", None),)),
        ("${}", (Variable("", None),)),
        ("${*}${?}${$}", ("*", "?", "$")),
        ("${**}", (Variable("**", None),)),
        ("${k", ("${k",)),
        ("${k}${", (Variable("k", None), "${")),
        ("$${k}", ("$", Variable("k", None))),
        ("${${k}}", (Variable("${k", None), "}")),
        ("}${k}", ("}", Variable("k", None))),
        ("${k,'d", ("${k,'d",)),
    ],
)
def test_parts(text: str, expected: tuple[object, ...]) -> None:
    assert parts(text) == expected


def test_without_wildcards_and_without_variables() -> None:
    assert parts("a*b?", wildcards=False) == ("a*b?",)
    assert Template("${k}*", variables=False, wildcards=True).parts == ("${k}", Wild.ANY)


@pytest.mark.parametrize(
    ("context", "resolved"),
    [
        ({"k": "v"}, ("a", "v", Wild.ANY)),
        ({"k": "*"}, ("a", "*", Wild.ANY)),
        ({"k": ""}, ("a", Wild.ANY)),
        ({}, None),
        ({"k": ("v",)}, None),
    ],
)
def test_resolve(context: Context, resolved: tuple[object, ...] | None) -> None:
    assert Template("a${K}*", variables=True, wildcards=True).resolve(context) == resolved


def test_a_text_without_variables_is_resolved_once() -> None:
    template = Template("a*", variables=True, wildcards=True)
    assert template.fixed == ("a", Wild.ANY)
    assert template.resolve({}) is template.fixed


@given(st.text("ab*?", max_size=8))
def test_shown_is_what_was_written(text: str) -> None:
    fixed = Template(text, variables=True, wildcards=True).fixed
    assert fixed is not None
    assert shown(fixed) == text


HOSTILE = ["${", "${a", "${a,", "${a,'", "${a, ", "${a,'b' ", "$", "${a,'b", "${'"]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("end", ["", "}", "'}"])
def test_no_text_is_looked_through_again_and_again(piece: str, end: str) -> None:
    # Looking through the rest of the text at every brace would take hours for this one.
    text = piece * 200_000 + end
    resolved = Template(text, variables=True, wildcards=True).resolve({"a": "b"})
    assert resolved is None or resolved
