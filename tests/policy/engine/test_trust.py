"""Who may take on a role: the trust policy's word, and what else must agree (docs/development/policy-engine.md
§8.2)."""

import pytest

from moorage.policy import ANONYMOUS, Decision, Kind, Named, Policies, Principal, Request, evaluate, sentence
from tests.policy.build import OTHER, OWNER, attached, grant, named, role, root, user

ROLE = f"arn:aws:iam::{OWNER}:role/deployer"
PROVIDER = f"arn:aws:iam::{OWNER}:oidc-provider/token.example.com"
WEB = Principal("web", "", PROVIDER, f"{PROVIDER}:sts.amazonaws.com:repo:team/app")
SERVICE = Principal("service", "", "codebuild.amazonaws.com", "codebuild.amazonaws.com")


def assume(caller: Principal, trusted: object, identity: str = "-", boundary: str = "-", session: str = "-") -> str:
    """`allow`, or the set that stopped it."""
    decision = decided(caller, trusted, identity, boundary, session)
    return "allow" if decision.allowed else decision.decided_by


def decided(
    caller: Principal, trusted: object, identity: str = "-", boundary: str = "-", session: str = "-"
) -> Decision:
    trust = [] if trusted is None else named(Kind.TRUST, grant(trusted, action="sts:*"))
    policies = Policies(
        identity=None if identity == "-" else named(Kind.IDENTITY, *_allowing(identity)),
        trust=trust,
        boundary=attached_sts(Kind.BOUNDARY, boundary),
        session=attached_sts(Kind.SESSION, session),
    )
    decision = evaluate(Request(caller, "sts:AssumeRole", ROLE, OWNER, {}), policies)
    assert decision.allowed == evaluate(decision.request, policies, detail=True).allowed
    return decision


def _allowing(mark: str) -> list[dict[str, object]]:
    return [{"Effect": "Allow", "Action": "sts:*" if mark == "y" else "s3:*", "Resource": "*"}]


def attached_sts(kind: Kind, mark: str) -> list[Named] | None:
    return None if mark == "-" else named(kind, *_allowing(mark))


@pytest.mark.parametrize(
    ("caller", "trusted", "sets", "expected"),
    [
        # The same account.
        (user(), None, "y", "trust"),  # `*` on the identity side without the trust is never enough
        (user(), {"AWS": OTHER}, "y", "trust"),
        (user(), {"AWS": OWNER}, "n", "identity"),  # trusting the account leaves it to identity policies
        (user(), {"AWS": OWNER}, "y", "allow"),
        (user(), {"AWS": user().arn}, "n", "allow"),  # naming the caller itself needs no identity policy
        (user(), {"AWS": user().arn}, "nn", "allow"),
        (user(), {"AWS": OWNER}, "yn", "boundary"),
        (role(), {"AWS": role().role_arn}, "n", "allow"),
        (role(), {"AWS": role().role_arn}, "nn", "boundary"),
        (role(), {"AWS": role().role_arn}, "n-n", "session"),
        (role(), {"AWS": role().arn}, "nnn", "allow"),
        (user(), "*", "n", "allow"),
        (root(), {"AWS": OWNER}, "-", "allow"),
        (root(), None, "-", "trust"),
        # Across accounts both sides must agree.
        (user(OTHER), {"AWS": user(OTHER).arn}, "n", "identity"),
        (user(OTHER), {"AWS": user(OTHER).arn}, "y", "allow"),
        (user(OTHER), {"AWS": user(OTHER).arn}, "yn", "boundary"),
        (user(OTHER), {"AWS": OTHER}, "y", "allow"),
        (user(OTHER), {"AWS": OWNER}, "y", "trust"),
        # Who has no side of its own.
        (WEB, {"Federated": PROVIDER}, "-", "allow"),
        (WEB, {"Federated": PROVIDER + "x"}, "-", "trust"),
        (WEB, {"AWS": OWNER}, "-", "trust"),
        (WEB, "*", "-", "trust"),  # everybody with an AWS identity, not everybody with any token
        (SERVICE, {"Service": SERVICE.arn}, "-", "allow"),
        (SERVICE, {"Service": "other.amazonaws.com"}, "-", "trust"),
        (ANONYMOUS, "*", "-", "trust"),
    ],
)
def test_who_may_take_on_a_role(caller: Principal, trusted: object, sets: str, expected: str) -> None:
    assert assume(caller, trusted, *sets) == expected


@pytest.mark.parametrize(
    ("caller", "trusted", "sets", "allowed", "rule"),
    [
        (user(), None, "n", False, "7-no-identity-grant"),
        (user(), {"AWS": OWNER}, "n", False, "7-no-identity-grant"),
        (user(), None, "y", False, "7-not-trusted"),
        (user(), None, "yn", False, "7-no-boundary-allow"),
        (user(), None, "yyn", False, "7-no-session-allow"),
        (role(), {"AWS": role().role_arn}, "nn", False, "7-no-boundary-allow"),
        (role(), {"AWS": role().role_arn}, "n-n", False, "7-no-session-allow"),
        (role(), {"AWS": role().role_arn}, "n", True, "7-limited-trust"),
        (user(), {"AWS": user().arn}, "n", True, "7-direct-trust"),
        (user(), {"AWS": OWNER}, "y", True, "7-trusted-and-granted"),
        (user(), {"AWS": OWNER}, "yn", False, "7-no-boundary-allow"),
        (root(), None, "nnn", False, "7-not-trusted"),
        (WEB, {"Federated": PROVIDER}, "-", True, "7-trusted"),
        (WEB, "*", "-", False, "7-not-trusted"),
    ],
)
def test_the_rule_that_decides(caller: Principal, trusted: object, sets: str, allowed: bool, rule: str) -> None:
    decision = decided(caller, trusted, *sets)
    assert (decision.allowed, decision.explicit, decision.rule) == (allowed, False, rule)
    assert decision.allowed is allowed


def test_a_deny_in_the_trust_policy_stops_a_web_identity_that_an_allow_names() -> None:
    trust = named(
        Kind.TRUST, grant({"Federated": PROVIDER}, action="sts:*"), grant("*", effect="Deny", action="sts:AssumeRole*")
    )
    decision = evaluate(Request(WEB, "sts:AssumeRoleWithWebIdentity", ROLE, OWNER, {}), Policies(trust=trust))
    assert (decision.allowed, decision.explicit, decision.decided_by) == (False, True, "trust")
    assert sentence(decision.request, decision).endswith(" with an explicit deny in the role trust policy")


def test_a_web_identity_is_nobody_outside_of_trust_policies() -> None:
    policies = Policies(resource=named(Kind.REPOSITORY, grant("*")), identity=attached(Kind.IDENTITY, "y"))
    request = Request(WEB, "ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{OWNER}:repository/r", OWNER, {})
    assert evaluate(request, policies).allowed is False


@pytest.mark.parametrize("trusted", [None, OWNER, OTHER])
@pytest.mark.parametrize("own", [("n", "-", "-"), ("y", "n", "-"), ("y", "y", "n")])
def test_a_caller_whose_own_side_denies_does_not_learn_whom_the_role_trusts(
    trusted: str | None, own: tuple[str, str, str]
) -> None:
    """None: there is no such role, which trusts nobody."""
    stopped_by = {("n", "-", "-"): "identity", ("y", "n", "-"): "boundary", ("y", "y", "n"): "session"}
    assert assume(user(), None if trusted is None else {"AWS": trusted}, *own) == stopped_by[own]


def test_an_untrusted_caller_reads_it_in_aws_words() -> None:
    own = named(Kind.IDENTITY, *_allowing("y"))
    decision = evaluate(Request(user(), "sts:AssumeRole", ROLE, OWNER, {}), Policies(identity=own, trust=[]))
    assert sentence(decision.request, decision) == (
        f"User: {user().arn} is not authorized to perform: sts:AssumeRole on resource: {ROLE} "
        "because no role trust policy allows the sts:AssumeRole action"
    )
