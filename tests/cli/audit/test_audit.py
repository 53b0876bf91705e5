"""Lines of `moorage audit`."""

from typing import Any

import msgspec
import pytest

from moorage.audit.cloudtrail_event import CloudTrailEvent
from moorage.cli.audit.audit import Verdict, line, verdict_of


def event(**more: Any) -> CloudTrailEvent:
    members = {
        "eventVersion": "1.08",
        "eventTime": "2026-11-25T07:37:59Z",
        "eventSource": "moorage",
        "eventName": "RequestsOmitted",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "",
        "userAgent": "",
        "userIdentity": {"type": "Root", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333"},
        "recipientAccountId": "111122223333",
        "requestParameters": None,
        "responseElements": None,
        "additionalEventData": {},
        "requestID": "id",
        "eventID": "id",
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        **more,
    }
    return msgspec.convert(members, CloudTrailEvent)


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
