"""Validation errors of IAM and STS show the value that they refuse whole, as AWS does; the audit record cuts them."""

from pathlib import Path

import pytest

from moorage.audit.event import AuditEvent
from moorage.audit.text import MAX_BYTES
from moorage.settings import Settings
from tests.support.in_process import in_process
from tests.support.query_client import QueryClient


@pytest.mark.parametrize(
    ("operation", "member", "value", "constraint"),
    [
        ("CreateUser", "UserName", "x" * 65, "Member must have length less than or equal to 64"),
        ("CreateUser", "UserName", "x" * 700_000, "Member must have length less than or equal to 64"),
        ("GetUser", "UserName", "a b" * 40, r"Member must satisfy regular expression pattern: [\w+=,.@-]+"),
        ("ListUsers", "Marker", "%" * 5000, "Member must be a marker of an earlier answer"),
        ("ListUsers", "PathPrefix", "/" + "p" * 600, "Member must have length less than or equal to 512"),
    ],
)
async def test_the_value_is_shown_whole(
    root: QueryClient, operation: str, member: str, value: str, constraint: str
) -> None:
    name = member[0].lower() + member[1:]
    assert await root.refused(operation, **{member: value}) == (
        400,
        "ValidationError",
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}",
    )


async def test_lists_are_shown_whole(root: QueryClient) -> None:
    keys = [f"key{number}" for number in range(51)]
    tags = [{"Key": key, "Value": "v"} for key in keys]
    await root.ok("CreateUser", UserName="ann")
    shown = ", ".join(f"{{key={key}, value=v}}" for key in keys)
    more = "failed to satisfy constraint: Member must have length less than or equal to 50"
    for operation, given, text in (
        ("TagUser", {"UserName": "ann", "Tags": tags}, f"Value '[{shown}]' at 'tags'"),
        ("UntagUser", {"UserName": "ann", "TagKeys": keys}, f"Value '[{', '.join(keys)}]' at 'tagKeys'"),
    ):
        refused = await root.refused(operation, **given)
        assert refused == (400, "ValidationError", f"1 validation error detected: {text} {more}")


async def test_the_record_does_not_keep_a_long_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as registry:
        recorder, noted = registry.components.recorder, []
        note = recorder.record_event

        def noting(event: AuditEvent) -> str:
            noted.append(event)
            return note(event)

        monkeypatch.setattr(recorder, "record_event", noting)
        body = b"Action=CreateUser&Version=2010-05-08&UserName=" + b"x" * 900_000
        reply = await registry.ask("", body, service="iam", content_type="application/x-www-form-urlencoded")
        assert (reply.status, len(reply.body) > 900_000) == (400, True)
        (event,) = noted
        assert event.name == "CreateUser"
        assert len((event.error_message or "").encode()) <= MAX_BYTES
