"""What the audit record keeps of a text."""

import pytest

from moorage.audit.text import CUT, MAX_BYTES, RESOURCE, truncated, truncated_context, truncated_message


@pytest.mark.parametrize("text", ["", "plain", "é" * 512, "x" * MAX_BYTES])
def test_what_is_short_enough_is_kept(text: str) -> None:
    assert truncated(text) == text


@pytest.mark.parametrize("text", ["x" * 1025, "é" * 513, "€" * 5000, "\ud800" * 5000, "\0" * 5000])
def test_what_is_longer_is_cut_between_characters(text: str) -> None:
    told = truncated(text)
    assert told.endswith("…")
    assert MAX_BYTES - 4 <= len(told.encode()) <= MAX_BYTES
    assert truncated(told) == told


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Authorization=AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=abc, SignedHeaders=host", "Signature=***,"),
        ("?X-Amz-Security-Token=abc&x=1", "?X-Amz-Security-Token=***&x=1"),
        ("Value 'eyJhbGciOi.eyJzdWIi.c2ln' at 'webIdentityToken'", "Value '***' at"),
        ("Bearer abcdefghijkl was refused", "Bearer *** was refused"),
        ("https://user:pass@host/path", "https://***host/path"),
        ("no such file: https://host/a@b", "https://host/a@b"),
    ],
)
def test_a_message_does_not_repeat_credentials(message: str, told: str) -> None:
    assert told in truncated_message(message)
    assert "abc" not in truncated_message(message)


@pytest.mark.parametrize(
    ("referer", "told"),
    [
        ("https://ci.example/a/b", "https://ci.example/a/b"),
        ("https://user:pass@ci.example/a@b?token=s#s", "https://ci.example/a@b"),
        ("https://ci.example?token=s", "https://ci.example"),
        ("user:pass@ci.example/a@b", "ci.example/a@b"),
    ],
)
def test_a_referer_is_kept_without_what_may_be_secret(referer: str, told: str) -> None:
    values = truncated_context({"aws:referer": referer})
    assert values["aws:referer"] == told
    assert values.get(CUT, ()) == (() if told == referer else ("aws:referer",))


def test_a_context_is_bounded_in_keys_and_values() -> None:
    values = truncated_context({f"key{number}": "x" * 5000 for number in range(2000)} | {"aws:tagkeys": ("k",) * 1000})
    assert len(values) <= 513
    assert len(values[CUT]) == 129
    assert RESOURCE in values[CUT]
    assert truncated_context({"k" * 2000: "v"}) == {CUT: (RESOURCE,)}
    tags = truncated_context({"aws:tagkeys": ("k",) * 1000, "aws:sourceip": "10.0.0.1"})
    assert len(tags["aws:tagkeys"]) == 128
    assert tags[CUT] == ("aws:tagkeys",)
