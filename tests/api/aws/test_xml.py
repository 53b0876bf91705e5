"""Responses and errors as XML, read back by a parser."""

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import msgspec
import pytest

from moorage.api.aws import xml


class Thing(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    text: str
    number: int = 0
    old: bool | None = None
    at: datetime | None = None
    things: "list[Thing] | None" = None
    words: list[str] | None = None
    entries: dict[str, int] | None = None
    odd: str | None = msgspec.field(default=None, name="oddName")


def test_values_are_written_as_the_protocol_has_them() -> None:
    thing = Thing(
        text="a<b>&\"'",
        old=False,
        at=xml.timestamp(1_700_000_000.9),
        things=[Thing(text="")],
        words=["x", "y"],
        entries={"a&b": 1},
        odd="o",
    )
    assert xml.content(thing) == (
        "<Text>a&lt;b&gt;&amp;\"'</Text><Number>0</Number><Old>false</Old><At>2023-11-14T22:13:20Z</At>"
        "<Things><member><Text></Text><Number>0</Number></member></Things>"
        "<Words><member>x</member><member>y</member></Words>"
        "<Entries><entry><key>a&amp;b</key><value>1</value></entry></Entries><oddName>o</oddName>"
    )


def test_timestamps_are_whole_seconds_in_utc() -> None:
    assert xml.timestamp(0.99) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["\0", "\x1b[0m", "a\x0bb", "\ufffe\uffff", "\t\n", "&<>", "é\U0001f600"])
def test_any_text_makes_a_document_that_can_be_read(text: str) -> None:
    document = xml.response_document("Wish", xml.namespace("thing", "2026-01-01"), Thing(text=text), "an-id")
    root = ET.fromstring(document)
    found = root.find(".//{https://thing.amazonaws.com/doc/2026-01-01/}Text")
    assert found is not None
    kept = "".join(each for each in text if each in "\t\n" or (each >= " " and each not in "\ufffe\uffff"))
    assert (found.text or "") == kept
    error = ET.fromstring(xml.error_document("urn:x", "Some", text, 400, "an-id"))
    assert error.findtext(".//{urn:x}Type") == "Sender"


def test_an_operation_without_a_result_has_none() -> None:
    assert b"WishResult" not in xml.response_document("Wish", "urn:x", None, "an-id")
    assert b"<WishResult></WishResult>" in xml.response_document("Wish", "urn:x", msgspec.Struct(), "an-id")
