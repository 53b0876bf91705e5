"""ID tokens of a trusted issuer whose claims try to be more than they are: names that collide, times that never end."""

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity.credentials.claims import condition_keys, read_claims
from moorage.identity.credentials.oidc import Issuers, read_issuers
from moorage.settings import SettingError
from tests.identity.credentials.oidc_tokens import AUDIENCE, ISSUER, Signer, issuers_file

SIGNER = Signer("one")
SUBJECT = "repo:team/app:ref:refs/heads/main"
PREFIX = "token.example.com:"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuers(tmp_path: Path, clock: Clock) -> Issuers:
    return Issuers(read_issuers(issuers_file(tmp_path, SIGNER)), clock)


async def refusal(issuers: Issuers, token: str) -> str:
    with pytest.raises(QueryError) as caught:
        await issuers.verify(token)
    caught.value.message.encode()  # it can be sent
    return caught.value.code


def payload(clock: Clock, more: str = "", **changes: Any) -> str:
    """The text of a good token's claims; `more` is put at its end as it is."""
    now = int(clock.now())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "iat": now - 5, "exp": now + 300, **changes}
    text = json.dumps({name: value for name, value in claims.items() if value is not ...})
    return f"{text[:-1]}, {more}}}" if more else text


@pytest.mark.parametrize(
    "more",
    [
        '"SUB": "repo:team/other"',
        '"Sub": null',
        '"AUD": "elsewhere"',
        '"Iss": "https://other.example.com"',
        '"AZP": "elsewhere"',
        '"Amr": ["mfa"]',
        '"EXP": 99999999999',
        '"sub": "repo:team/other"',
        '"exp": 99999999999',
        '"ref": "main", "ref": "other"',
        '"ref": "main", "REF": "other"',
        '"ref": "main", "Ref": {"x": 1}',
        '"ref": "main", "Ref": null',
        '"a": {"b": "1"}, "a/b": "2"',
        '"a": {"b": "1", "B": "2"}',
        '"a": {"b": "1", "b": "2"}',
        '"a": {"b": {"c": {"d": {"e": {"f": 1, "f": 2}}}}}',
        '"\\u212aind": "x", "kind": "y"',
    ],
)
async def test_names_that_could_be_taken_for_one_another_are_refused(issuers: Issuers, clock: Clock, more: str) -> None:
    assert await refusal(issuers, SIGNER.token_of(payload(clock, more))) == "InvalidIdentityToken"


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "time",
    [
        *["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-1", "1e300", "9" * 400, "9" * 5000, "253402300800"],
        *['"x"', '"1"', "true", "[]", "{}"],
    ],
    ids=lambda text: text[:20],
)
async def test_what_is_no_time_is_refused(issuers: Issuers, clock: Clock, claim: str, time: str) -> None:
    text = payload(clock, f'"{claim}": {time}', **{claim: ...})
    assert await refusal(issuers, SIGNER.token_of(text)) == "InvalidIdentityToken"


async def test_fractions_of_a_second_are_a_time(issuers: Issuers, clock: Clock) -> None:
    await issuers.verify(SIGNER.token_of(payload(clock, exp=clock.now() + 0.5)))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 7000,
        '{"iss":' * 2000,
        '{"iss": "https://token.example.com", "x": ' + "[" * 5000 + "]" * 5000 + "}",
        "[]",
        '"x"',
        '{"iss": "\\ud800"}',
        '{"iss": "https://token.example.com", "x": NaN}',
        '{"iss": "https://token.example.com", "x": "a\\u0000b"}',
        '{"iss": ["https://token.example.com"]}',
        '{"iss": {"https://token.example.com": 1}}',
    ],
    ids=lambda text: text[:30],
)
async def test_what_cannot_be_read_is_refused_before_any_key_is_fetched(issuers: Issuers, text: str) -> None:
    assert await refusal(issuers, SIGNER.token_of(text)) == "InvalidIdentityToken"


async def test_a_header_nested_without_end_is_refused(issuers: Issuers) -> None:
    header = base64.urlsafe_b64encode(b'{"a":' * 2500).decode().rstrip("=")
    assert await refusal(issuers, f"{header}.e30.AA") == "InvalidIdentityToken"


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": ""},
        {"sub": 5},
        {"sub": ["a"]},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"sub": "a\u2028b"},
        {"azp": ""},
        {"azp": "x" * 256},
        {"azp": "a\x01"},
        {"azp": 7},
        {"aud": [AUDIENCE, 7]},
        {"aud": [[AUDIENCE]]},
        {"aud": {AUDIENCE: 1}},
        {"aud": AUDIENCE.upper()},
        {"aud": AUDIENCE + "."},
        {"aud": " " + AUDIENCE},
        {"iss": ISSUER + "/"},
        {"iss": ISSUER.upper()},
        {"iss": ISSUER.replace("https", "http")},
        {"iss": ISSUER + "."},
        {"iss": " " + ISSUER},
    ],
    ids=str,
)
async def test_registered_claims_are_held_to_the_letter(
    issuers: Issuers, clock: Clock, changes: dict[str, Any]
) -> None:
    assert await refusal(issuers, SIGNER.token_of(payload(clock, **changes))) == "InvalidIdentityToken"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": "b64"},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"kid": 1},
        {"kid": ["one"]},
        {"kid": "One"},
        {"kid": "one\x00"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS512"},
        {"alg": "rs256"},
        {"alg": ["RS256"]},
    ],
    ids=str,
)
async def test_headers_that_ask_for_something_else_are_refused(
    issuers: Issuers, clock: Clock, header: dict[str, Any]
) -> None:
    good = SIGNER.token_of(payload(clock))
    _, claims, signature = good.split(".")
    text = json.dumps({"alg": "RS256", "typ": "JWT", "kid": "one", **header}).encode()
    head = base64.urlsafe_b64encode(text).decode().rstrip("=")
    signed = SIGNER.private.sign(
        f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )  # signed over the very header, so nothing but what it asks for is wrong
    resigned = base64.urlsafe_b64encode(signed).decode().rstrip("=")
    assert await refusal(issuers, f"{head}.{claims}.{signature}") == "InvalidIdentityToken"
    assert await refusal(issuers, f"{head}.{claims}.{resigned}") == "InvalidIdentityToken"


async def test_keys_that_are_not_for_signatures_verify_none(tmp_path: Path, clock: Clock) -> None:
    for wrong in ({"use": "enc"}, {"alg": "HS256"}, {"alg": "RSA-OAEP"}, {"kty": "oct", "k": "AA"}):
        file = issuers_file(tmp_path, SIGNER)
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [SIGNER.jwk | wrong]}))
        issuers = Issuers(read_issuers(file), clock)
        with pytest.raises(QueryError):
            await issuers.verify(SIGNER.token_of(payload(clock)))


async def test_keys_of_one_id_are_told_apart_by_their_algorithm(tmp_path: Path, clock: Clock) -> None:
    other = Signer("one", "ES256")
    issuers = Issuers(read_issuers(issuers_file(tmp_path, other, SIGNER)), clock)
    await issuers.verify(SIGNER.token_of(payload(clock)))
    await issuers.verify(other.token_of(payload(clock)))
    forged = Signer("one")
    assert await refusal(issuers, forged.token_of(payload(clock))) == "InvalidIdentityToken"


async def test_long_values_and_lists_are_kept_whole(issuers: Issuers, clock: Clock) -> None:
    """A value cut short could end as a policy wants it to end."""
    groups = [f"group-{number}" for number in range(300)]
    ref = "refs/heads/main" + "x" * 4000
    token = SIGNER.token_of(payload(clock, ref=ref, groups=groups))
    keys = (await issuers.verify(token)).keys
    assert keys[f"{PREFIX}ref"] == ref
    assert keys[f"{PREFIX}groups"] == tuple(groups)


async def test_more_claims_than_are_kept_are_refused(issuers: Issuers, clock: Clock) -> None:
    many: dict[str, Any] = {f"c{number}": 1 for number in range(101)}
    assert await refusal(issuers, SIGNER.token_of(payload(clock, **many))) == "InvalidIdentityToken"


NAMES = st.one_of(
    st.sampled_from(["sub", "SUB", "aud", "azp", "AZP", "ref", "Ref", "a", "a/b", "b", "aws:SourceIp", ""]), st.text()
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.text(min_size=1))
@settings(max_examples=300, deadline=None)
def test_claims_become_keys_of_their_issuer_and_of_nothing_else(claims: dict[str, Any], subject: str) -> None:
    said = claims | {"sub": subject, "aud": AUDIENCE}
    try:
        keys = condition_keys("token.example.com", said, AUDIENCE)
    except ValueError:
        folded = [name.lower() for name in _paths(said)]
        exact = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "amr"}
        assert len(set(folded)) < len(folded) or any(name.lower() in exact and name not in exact for name in said)
        return
    assert all(key.startswith(PREFIX) and key == key.lower() for key in keys)
    assert keys[f"{PREFIX}sub"] == subject
    assert keys[f"{PREFIX}aud"] == AUDIENCE
    for name, value in said.items():
        if isinstance(value, str) and name != "aud":
            assert keys[PREFIX + name.lower()] == value


def _paths(claims: dict[str, Any], depth: int = 0) -> list[str]:
    found = []
    for name, value in claims.items():
        found.append(name)
        if isinstance(value, dict) and depth < 3:
            found += [f"{name}/{inner}" for inner in _paths(value, depth + 1)]
    return found


@given(st.binary(max_size=200))
def test_any_bytes_are_claims_or_refused(text: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_claims(text), dict)


@given(VALUES)
def test_what_json_says_is_what_is_read(value: Any) -> None:
    text = json.dumps({"x": value}).encode()
    try:
        assert read_claims(text) == {"x": value}
    except ValueError:
        assert b"\\u0000" in text or b"\\ud" in text


@pytest.mark.parametrize(
    "issuers",
    [
        ["https://aws"],
        ["https://AWS/"],
        ["https://ecr"],
        ["http://moorage"],
        ["https://token.example.com", "http://token.example.com"],
        ["https://token.example.com", "https://Token.example.com"],
        ["https://token.example.com", "https://token.example.com/"],
        ["https://token.example.com", "https://token.example.com"],
        ["https://token.example.com", "https://token.example.com:8443"],
        ["https://user@token.example.com"],
        ["https://token.example.com?x=1"],
        ["https://token.example.com/#x"],
        ["https://token.example.com/a b"],
    ],
    ids=str,
)
def test_issuers_whose_keys_could_be_taken_for_others_stop_the_start(tmp_path: Path, issuers: list[str]) -> None:
    path = tmp_path / "issuers.json"
    path.write_text(json.dumps([{"issuer": one, "audiences": ["a"]} for one in issuers]))
    with pytest.raises(SettingError, match="oidc_issuers"):
        read_issuers(path)


def test_issuers_of_one_host_may_differ_by_path(tmp_path: Path) -> None:
    path = tmp_path / "issuers.json"
    names = ["https://id.example.com/a", "https://id.example.com/ab", "http://localhost:8080/realms/x"]
    path.write_text(json.dumps([{"issuer": one, "audiences": ["a"]} for one in names]))
    assert [one.issuer for one in read_issuers(path)] == names
