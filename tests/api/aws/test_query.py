"""Forms of the Query protocol as typed requests, and what is said about those that are not valid."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import pytest

from moorage.api.aws import query
from moorage.api.iam import IAM
from moorage.api.sts import STS
from moorage.errors import QueryError

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=4, pattern=r"^[a-z]*\Z", extra={"pattern": "[a-z]*"})]


class Tag(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    key: Key
    value: str


class Inner(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    texts: list[str] | None = None


class Wish(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] | None = None
    quick: bool | None = None
    tags: Annotated[list[Tag], msgspec.Meta(max_length=2)] | None = None
    levels: list[Inner] | None = None
    inner: Inner | None = None
    secret: Annotated[str, msgspec.Meta(min_length=4, extra={"sensitive": True})] | None = None


def refused(form: Mapping[str, str]) -> tuple[str, str]:
    with pytest.raises(QueryError) as raised:
        query.decode(Wish, form)
    return raised.value.code, raised.value.message


def test_a_form_becomes_a_request() -> None:
    form = {
        "Action": "Wish",
        "Name": "",
        "Count": "3",
        "Quick": "True",
        "Tags.member.1.Key": "a",
        "Tags.member.1.Value": "",
        "Tags.member.2.Key": "b",
        "Tags.member.2.Value": "2",
        "Levels.member.1.Texts.member.1": "x",
        "Levels.member.1.Texts.member.2": "y",
        "Levels.member.2.Texts.member.1": "z",
        "Inner.Texts.member.1": "w",
    }
    assert query.decode(Wish, form) == Wish(
        name="",
        count=3,
        quick=True,
        tags=[Tag(key="a", value=""), Tag(key="b", value="2")],
        levels=[Inner(texts=["x", "y"]), Inner(texts=["z"])],
        inner=Inner(texts=["w"]),
    )


def test_a_list_ends_at_the_first_number_that_is_missing() -> None:
    form = {"Name": "a", "Inner.Texts.member.1": "x", "Inner.Texts.member.3": "z"}
    assert query.decode(Wish, form).inner == Inner(texts=["x"])


def test_an_empty_list_is_an_empty_field() -> None:
    assert query.decode(Wish, {"Name": "a", "Tags": ""}).tags == []
    assert query.decode(Wish, {"Name": "a"}).tags is None


@pytest.mark.parametrize("number", ["", "x", "1.5", "²", "-", "9" * 19, "--1"])
def test_what_is_no_number_is_malformed(number: str) -> None:
    assert refused({"Name": "a", "Count": number}) == ("MalformedInput", f"{number} is not a number")


def test_what_is_no_boolean_is_malformed() -> None:
    assert refused({"Name": "a", "Quick": "1"}) == ("MalformedInput", "1 is not a boolean")


def test_an_error_names_every_violated_constraint_in_the_order_of_the_model() -> None:
    form = {"Count": "10", "Tags.member.1.Key": "", "Tags.member.2.Key": "A", "Tags.member.2.Value": "v"}
    start = "6 validation errors detected: "
    code, message = refused(form | {"Tags.member.3.Key": "b", "Tags.member.3.Value": "v"})
    assert (code, message[: len(start)]) == ("ValidationError", start)
    shown = "[{key=}, {key=A, value=v}, {key=b, value=v}]"
    failed = "failed to satisfy constraint: Member must"
    assert message[len(start) :].split("; ") == [
        f"Value null at 'name' {failed} not be null",
        f"Value '10' at 'count' {failed} have value less than or equal to 9",
        f"Value '{shown}' at 'tags' {failed} have length less than or equal to 2",
        f"Value '' at 'tags.1.member.key' {failed} have length greater than or equal to 1",
        f"Value null at 'tags.1.member.value' {failed} not be null",
        f"Value 'A' at 'tags.2.member.key' {failed} satisfy regular expression pattern: [a-z]*",
    ]


def test_a_structure_with_a_misspelled_member_is_not_overlooked() -> None:
    code, message = refused({"Name": "a", "Tags.member.1.key": "a", "Tags.member.1.value": "b"})
    assert code == "ValidationError"
    assert "at 'tags.1.member.key'" in message


def test_an_error_does_not_repeat_a_sensitive_value() -> None:
    assert refused({"Name": "a", "Secret": "abc"})[1] == (
        "1 validation error detected: Value at 'secret' failed to satisfy constraint: Member must have length greater"
        " than or equal to 4"
    )


def test_long_and_deep_names_cost_nothing() -> None:
    form = {"Name": "a", "Inner." * 100_000: "x", ".".join("a" * 250): "y", "Inner": "z"}
    assert query.decode(Wish, form) == Wish(name="a")


@pytest.mark.parametrize("service", [IAM, STS], ids=lambda service: str(service.name))
def test_every_request_can_be_read_from_a_form(service: Any) -> None:
    for request in service.requests.values():
        required = [each for each in msgspec.structs.fields(request) if each.required]
        if required:
            with pytest.raises(QueryError, match=f"{len(required)} validation error"):
                query.decode(request, {})
        else:
            query.decode(request, {})


def test_fields_that_cannot_be_read_are_refused() -> None:
    for body in (b"a=%FF", b"a=\xff", b"&".join([b"a=1"] * 1001)):
        with pytest.raises(QueryError, match="could not be read"):
            query.parse_form(body)
    assert query.parse_form(b"A=1&B=", b"C=%20&A=0") == {"A": "1", "B": "", "C": " "}
