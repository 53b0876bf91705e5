"""Lines of `moorage audit`."""

from typing import Any

import pytest

from moorage.cli.audit.audit import Verdict, line, verdict_of


def event(**more: Any) -> dict[str, Any]:
    return {
        "eventTime": "2026-11-25T07:37:59Z",
        "eventSource": "moorage",
        "eventName": "RequestsOmitted",
        "sourceIPAddress": "",
        "userIdentity": {"type": "Root", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333"},
        "recipientAccountId": "111122223333",
        "requestParameters": None,
        "requestID": "id",
        **more,
    }


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({}, Verdict.ALLOWED),
        ({"additionalEventData": {"omitted": True}}, Verdict.OMITTED),
        ({"errorCode": "AccessDeniedException", "errorMessage": "no"}, Verdict.DENIED),
        ({"errorCode": "ThrottlingException", "errorMessage": "no"}, Verdict.FAILED),
    ],
)
def test_what_came_of_a_request(more: dict[str, Any], verdict: Verdict) -> None:
    assert verdict_of(event(**more)) is verdict
    assert verdict.value in line(event(**more)).plain


def test_omitted_requests_are_shown_with_their_number() -> None:
    assert "×7" in line(event(additionalEventData={"omitted": True, "count": 7})).plain
