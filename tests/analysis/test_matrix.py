"""What an answer of the access matrix depends on, in words."""

import pytest

from moorage.analysis.matrix import _clause
from moorage.policy.analysis.partial import PartialStatement, UnknownCondition

OFFICE = ("aws:SourceIp", ("10.0.0.0/8",))
TEAM = ("aws:PrincipalTag/team", ("red", "blue"))


@pytest.mark.parametrize(
    ("allows", "conditions", "words"),
    [
        (True, [("IpAddress", *OFFICE)], "if IpAddress aws:SourceIp 10.0.0.0/8"),
        (True, [("NotIpAddress", *OFFICE)], "if NotIpAddress aws:SourceIp 10.0.0.0/8"),
        (False, [("NotIpAddress", *OFFICE)], "if IpAddress aws:SourceIp 10.0.0.0/8"),
        (False, [("IpAddress", *OFFICE)], "unless IpAddress aws:SourceIp 10.0.0.0/8"),
        (
            False,
            [("NotIpAddress", *OFFICE), ("StringNotEqualsIfExists", *TEAM)],
            "if IpAddress aws:SourceIp 10.0.0.0/8 or StringEquals aws:PrincipalTag/team red, blue",
        ),
        (
            False,
            [("NotIpAddress", *OFFICE), ("StringEquals", *TEAM)],
            "if IpAddress aws:SourceIp 10.0.0.0/8 or StringNotEquals aws:PrincipalTag/team red, blue",
        ),
        (
            False,
            [("NotIpAddress", *OFFICE), ("Bool", "aws:SecureTransport", ("false",))],
            "unless Bool aws:SecureTransport false and NotIpAddress aws:SourceIp 10.0.0.0/8",
        ),
        (
            False,
            [("NotIpAddress", *OFFICE), ("StringEqualsIfExists", *TEAM)],
            "unless NotIpAddress aws:SourceIp 10.0.0.0/8 and StringEqualsIfExists aws:PrincipalTag/team red, blue",
        ),
    ],
)
def test_a_deny_is_told_without_two_negations(
    allows: bool, conditions: list[tuple[str, str, tuple[str, ...]]], words: str
) -> None:
    hanging = frozenset(UnknownCondition(*each) for each in conditions)
    assert _clause(PartialStatement("identity", 0, "p", allows, 0, hanging)) == words
