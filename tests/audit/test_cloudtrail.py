"""userIdentity of every kind of caller, as CloudTrail writes it, and what the other account is told of it."""

from typing import Any

import msgspec
import pytest

from moorage import policy
from moorage.audit import cloudtrail
from moorage.audit.event import EventDetail, RequestOrigin
from moorage.audit.shared_values import RecordedCaller
from moorage.store.metadata.audit.tables import EventRow

HOME, AWAY = "111111111111", "222222222222"
ROLE = f"arn:aws:iam::{HOME}:role/teams/builder"
SESSION = f"arn:aws:sts::{HOME}:assumed-role/builder/ci"


def told(caller: RecordedCaller | None, recipient: str = HOME, **detail: Any) -> dict[str, Any]:
    row = EventRow(
        id="the-id",
        recipient=recipient,
        at=1_800_000_000.9,
        last=1_800_000_003.0,
        count=detail.pop("count", 1),
        source="ecr.amazonaws.com",
        name="BatchGetImage",
        region="eu-west-1",
        principal="the-arn",
        resource=detail.pop("resource", "*"),
        source_ip="10.0.0.7",
        verdict="allowed",
        error_code=None,
        caller="",
        detail="",
    )
    event = cloudtrail.event(row, EventDetail(**detail), caller, [])
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return found


def kept(principal: policy.Principal, credential: str = "key", **context: str) -> RecordedCaller:
    return RecordedCaller(
        principal, credential, "ASIAX", {name.replace("_", ":"): value for name, value in context.items()}
    )


def test_a_root_and_a_user() -> None:
    root = policy.Principal("root", HOME, f"arn:aws:iam::{HOME}:root", HOME)
    assert told(kept(root))["userIdentity"] == {
        "type": "Root",
        "principalId": HOME,
        "arn": root.arn,
        "accountId": HOME,
        "accessKeyId": "ASIAX",
    }
    ann = policy.Principal("user", HOME, f"arn:aws:iam::{HOME}:user/ann", "AIDAX", user_name="ann")
    identity = told(kept(ann, "session", aws_tokenissuetime="2027-01-15T08:00:00Z"))["userIdentity"]
    assert (identity["type"], identity["userName"]) == ("IAMUser", "ann")
    assert identity["sessionContext"] == {
        "attributes": {"creationDate": "2027-01-15T08:00:00Z", "mfaAuthenticated": "false"}
    }


def test_a_role_session_tells_its_issuer() -> None:
    principal = policy.Principal("role", HOME, SESSION, "AROAX:ci", role_arn=ROLE, role_id="AROAX")
    context = {
        "aws_tokenissuetime": "2027-01-15T08:00:00Z",
        "aws_sourceidentity": "ann",
        "aws_federatedprovider": "token.example.com",
    }
    identity = told(kept(principal, "role", **context))["userIdentity"]
    assert (identity["type"], identity["arn"], identity["principalId"]) == ("AssumedRole", SESSION, "AROAX:ci")
    assert identity["sessionContext"] == {
        "sessionIssuer": {
            "type": "Role",
            "principalId": "AROAX",
            "arn": ROLE,
            "accountId": HOME,
            "userName": "builder",
        },
        "webIdFederationData": {"federatedProvider": "token.example.com"},
        "attributes": {"creationDate": "2027-01-15T08:00:00Z", "mfaAuthenticated": "false"},
        "sourceIdentity": "ann",
    }


def test_a_federated_session_and_a_service_and_nobody() -> None:
    arn = f"arn:aws:sts::{HOME}:federated-user/bob"
    user = f"arn:aws:iam::{HOME}:user/ann"
    bob = policy.Principal("federated", HOME, arn, f"{HOME}:bob", user_arn=user, user_id="AIDAX")
    identity = told(kept(bob, "federated"))["userIdentity"]
    assert identity["type"] == "FederatedUser"
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == user
    assert told(kept(policy.ANONYMOUS))["userIdentity"]["accountId"] == "ANONYMOUS_PRINCIPAL"
    assert told(None)["userIdentity"] == {"type": "Unknown", "arn": "the-arn"}


def test_the_other_account_is_told_who_not_how() -> None:
    principal = policy.Principal("role", HOME, SESSION, "AROAX:ci", role_arn=ROLE, role_id="AROAX")
    assert told(kept(principal, "role"), AWAY)["userIdentity"] == {
        "type": "AWSAccount",
        "principalId": "AROAX:ci",
        "arn": SESSION,
        "accountId": HOME,
    }


@pytest.mark.parametrize(
    ("resource", "resources"),
    [
        ("*", None),
        (
            f"arn:aws:ecr:eu-west-1:{HOME}:repository/app",
            [
                {
                    "ARN": f"arn:aws:ecr:eu-west-1:{HOME}:repository/app",
                    "accountId": HOME,
                    "type": "AWS::ECR::Repository",
                }
            ],
        ),
        (ROLE, [{"ARN": ROLE, "accountId": HOME}]),
    ],
)
def test_the_resource(resource: str, resources: Any) -> None:
    assert told(None, resource=resource).get("resources") == resources


def test_what_is_moorages_own_is_additional() -> None:
    found = told(None, count=4, authenticated=False, more=RequestOrigin(plane="v2"), decided=101, decisions=["a"] * 100)
    assert found["additionalEventData"] == {
        "plane": "v2",
        "count": 4,
        "lastTime": "2027-01-15T08:00:03Z",
        "authenticated": False,
        "decisions": [],
        "decisionCount": 101,
    }
    assert (found["eventTime"], found["readOnly"]) == ("2027-01-15T08:00:00Z", False)
    assert "sharedEventID" in told(None, shared=True)
    assert told(None, request=msgspec.Raw(b'{"a":1}'))["requestParameters"] == {"a": 1}
