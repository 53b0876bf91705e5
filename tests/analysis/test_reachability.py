"""The matrix of who can reach what: everything that decides a request counts, and nobody learns what is not theirs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from moorage.access.organization import keep
from moorage.analysis.access_report import AccessPage, PolicyVersion
from moorage.analysis.matrix_subjects import NO_ANONYMOUS
from moorage.analysis.reachability import Reachability
from moorage.errors import InvalidParameter
from moorage.identity.principals.entity import ROLE
from moorage.names import AccountId
from moorage.settings import Settings
from tests.access.test_organization import ORG, UNIT, deny, organization
from tests.access.test_registry_policy import scope
from tests.support.backend import APP, BY, HERE, OTHER, OWNER, Backend, document, statement

THIRD = "777788889999"
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
ANN, EVE = f"arn:aws:iam::{OWNER}:user/ann", f"arn:aws:iam::{OTHER}:user/eve"
ROOT = f"arn:aws:iam::{OWNER}:root"
ANY, FELLOW = "any other account", "any other account of the organization"
STRANGER = "any other account outside the organization"
IN_NETWORK = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}


def account(name: str) -> str:
    return f"account {name} (those it allows)"


class Told:
    """An answer, row by row."""

    def __init__(self, answer: AccessPage) -> None:
        self.answer = answer
        self.rows = {row.who: row for row in answer.rows}

    def says(self, who: str, capability: str = "pull") -> str:
        return self.rows[who].cells[capability].answer

    def on(self, who: str, capability: str = "pull") -> list[str]:
        return self.rows[who].cells[capability].conditions


async def told(
    backend: Backend,
    settings: Settings | None = None,
    *,
    version: PolicyVersion | None = None,
    before: PolicyVersion | None = None,
) -> Told:
    """What the owner's root is told of the repository."""
    made = Reachability(backend.identity, backend.registry, backend.access, backend.check, settings or backend.settings)
    return Told(
        await made.of_repository(APP, version or PolicyVersion(), None if before is None else (APP, before), {})
    )


async def told_of(backend: Backend, arn: str) -> Told:
    made = Reachability(backend.identity, backend.registry, backend.access, backend.check, backend.settings)
    return Told(await made.of_principal(arn, OWNER, HERE, {}))


async def registry_policy(backend: Backend, *statements: dict[str, Any], of: AccountId = OWNER) -> None:
    await backend.registry.registry_policies.set(of, HERE, document(*statements), by=BY)


async def organise(backend: Backend, **changes: Any) -> None:
    """The owner in a unit, the other account beside it, the third no member."""
    made = organization(**changes)
    made["root"]["units"][0]["accounts"].append({"id": OTHER, **changes.get("other", {})})
    made.pop("other", None)
    await keep(backend.identity.organizations, json.dumps(made), by="tests")


async def test_the_registry_policy_counts_beside_the_repositorys(backend: Backend) -> None:
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    assert (await told(backend)).says(ANN, "push") == "yes"
    refused = statement("Deny", "ecr:PutImage", Principal="*", Resource="*", Condition=IN_NETWORK)
    granted = statement("Allow", PULL, Principal={"AWS": OTHER}, Resource="*")
    await registry_policy(backend, refused, granted)
    found = await told(backend)
    assert found.says(ANN, "push") == "depends"
    assert found.on(ANN, "push") == ["unless IpAddress aws:SourceIp 10.0.0.0/8"]
    assert found.says(account(OTHER)) == "yes"  # named there alone, it has a row all the same
    assert (await told_of(backend, OTHER)).says(account(OTHER)) == "yes"


async def test_a_registry_policy_of_scope_v1_has_no_say_in_pulls(backend: Backend) -> None:
    await scope(backend, "V1")
    await backend.policy(statement("Allow", PULL, Principal="*"))
    await registry_policy(backend, statement("Deny", "ecr:*", Principal="*", Resource="*"))
    assert (await told(backend)).says(ANY) == "yes"


async def test_signing_in_is_decided_by_the_callers_own_registry(backend: Backend) -> None:
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await backend.policy(statement("Allow", PULL, Principal={"AWS": OTHER}))
    await registry_policy(backend, statement("Deny", "ecr:GetAuthorizationToken", Principal="*", Resource="*"))
    found = await told(backend)
    assert found.says(ANN) == "no"
    assert found.rows[ANN].cells["pull"].missing == ["ecr:GetAuthorizationToken"]
    assert found.says(account(OTHER)) == "yes"
    # What the other account's registry says is its own business: whoever it lets.
    own = statement("Deny", "ecr:*", Principal="*", Resource="*")
    await registry_policy(backend, own, of=OTHER)
    assert (await told(backend)).says(account(OTHER)) == "yes"


async def test_scps_of_each_account_count_and_those_of_others_are_not_spelled_out(backend: Backend) -> None:
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await backend.policy(statement("Allow", PULL, Principal={"AWS": [OTHER, THIRD]}))
    guarded = {"serviceControlPolicies": ["FullAWSAccess", "NoPull"]}
    policies = {"NoPull": deny("ecr:BatchGetImage", Condition=IN_NETWORK)}
    await organise(backend, serviceControlPolicies=policies, account=guarded, other=guarded)
    found = await told(backend)
    assert found.on(ANN) == ["unless IpAddress aws:SourceIp 10.0.0.0/8"]
    assert found.says(account(OTHER)) == "depends"
    assert found.on(account(OTHER)) == [f"the guardrails of account {OTHER}"]
    assert found.says(account(THIRD)) == "yes"
    assert (await told_of(backend, OTHER)).on(account(OTHER)) == [f"the guardrails of account {OTHER}"]
    await organise(backend, serviceControlPolicies={"NoPull": deny("ecr:BatchGetImage")}, other=guarded)
    found = await told(backend)
    assert (found.says(ANN), found.says(account(OTHER)), found.says(account(THIRD))) == ("yes", "no", "yes")


async def test_an_rcp_of_the_callers_account_counts_where_it_signs_in_and_is_not_spelled_out(backend: Backend) -> None:
    await backend.policy(statement("Allow", PULL, Principal={"AWS": OTHER}))
    guarded = {"resourceControlPolicies": ["Office"]}
    office = deny("ecr:GetAuthorizationToken", Principal="*", Condition=IN_NETWORK)
    await organise(backend, resourceControlPolicies={"Office": office}, other=guarded)
    found = await told(backend)
    assert found.says(account(OTHER)) == "depends"
    assert found.on(account(OTHER)) == [f"the guardrails of account {OTHER}"]


async def test_the_organizations_keys_are_known_for_members_and_known_to_be_absent_for_others(backend: Backend) -> None:
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    ours = {"StringEquals": {"aws:PrincipalOrgID": ORG, "aws:ResourceOrgID": ORG}}
    await backend.policy(statement("Allow", PULL, Principal="*", Condition=ours))
    assert (await told(backend)).says(ANY) == "no"  # there is no organization
    await organise(backend)
    found = await told(backend)
    assert (found.says(FELLOW), found.says(STRANGER)) == ("yes", "no")
    assert ANY not in found.rows
    in_unit = {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{ORG}/*/{UNIT}/*"}}
    await backend.policy(statement("Allow", PULL, Principal={"AWS": [OTHER, THIRD, "*"]}, Condition=in_unit))
    found = await told(backend)
    assert [found.says(each) for each in (account(OTHER), account(THIRD), STRANGER)] == ["yes", "no", "no"]
    assert found.says(FELLOW) == "depends"  # it may be in another unit
    assert found.on(FELLOW) == [f"if ForAnyValue:StringLike aws:PrincipalOrgPaths {ORG}/*/{UNIT}/*"]


async def test_any_account_of_the_organization_hangs_on_guard_rails_if_there_are_some(backend: Backend) -> None:
    await backend.policy(statement("Allow", "ecr:*", Principal="*"))
    await organise(backend)
    assert (await told(backend)).says(FELLOW, "delete") == "yes"
    guarded = {"serviceControlPolicies": ["FullAWSAccess", "NoPull"]}
    no_pull = {"NoPull": deny("ecr:BatchGetImage")}
    await organise(backend, serviceControlPolicies=no_pull, account=guarded)
    assert (await told(backend)).says(FELLOW, "delete") == "yes"  # the owner's guard rails are not another's
    await organise(backend, serviceControlPolicies=no_pull, other=guarded)
    found = await told(backend)
    assert found.says(FELLOW, "delete") == "depends"
    assert found.on(FELLOW, "delete") == ["the guardrails of the caller's account, which differ between accounts"]
    assert found.says(STRANGER, "delete") == "yes"
    office = {"Office": deny("ecr:GetAuthorizationToken", Principal="*")}
    await organise(backend, resourceControlPolicies=office, other={"resourceControlPolicies": ["Office"]})
    found = await told(backend)
    assert (found.says(FELLOW), found.says(FELLOW, "delete")) == ("depends", "yes")


async def test_the_way_out_leads_past_the_policies_of_resources_and_not_past_guard_rails(backend: Backend) -> None:
    await backend.policy(statement("Deny", "*", Principal="*"))
    await registry_policy(backend, statement("Deny", "*", Principal="*", Resource="*"))
    assert (await told(backend)).says(ROOT, "administer") == "yes"
    assert (await told(backend)).says(ROOT, "delete") == "no"
    assert (await told(backend, replace(backend.settings, root_recovers=False))).says(ROOT, "administer") == "no"
    shut = {"Shut": deny(["ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"], Condition=IN_NETWORK)}
    guarded = {"serviceControlPolicies": ["FullAWSAccess", "Shut"]}
    await organise(backend, serviceControlPolicies=shut, account=guarded)
    found = await told(backend)
    assert found.says(ROOT, "administer") == "depends"
    assert found.on(ROOT, "administer") == ["unless IpAddress aws:SourceIp 10.0.0.0/8"]


@pytest.mark.parametrize(("pulls", "cells"), [(False, ["no"] * 4), (True, ["yes", "no", "no", "no"])])
async def test_who_shows_nothing_may_what_the_setting_lets_it(backend: Backend, pulls: bool, cells: list[str]) -> None:
    await backend.policy(statement("Allow", "ecr:*", Principal="*"))
    settings = replace(backend.settings, anonymous_pull=pulls)
    found = await told(backend, settings)
    assert [found.says("anonymous", each) for each in found.rows["anonymous"].cells] == cells
    assert found.rows["anonymous"].note == ("" if pulls else NO_ANONYMOUS)


async def test_identities_of_another_account_are_not_told_by_being_named(backend: Backend) -> None:
    await backend.user("eve", statement("Allow", "ecr:*", Resource="*", Condition=IN_NETWORK), account=OTHER)
    await backend.policy(statement("Allow", PULL, Principal={"AWS": EVE}))
    found = await told(backend)
    assert found.says(EVE) == "depends"
    assert found.on(EVE) == ["the policies of the caller's account, which are not stored here"]
    assert found.says(EVE, "delete") == "no"
    seen = await told_of(backend, EVE)
    assert (seen.says(EVE), seen.on(EVE)) == (found.says(EVE), found.on(EVE))
    stranger = f"arn:aws:iam::{THIRD}:role/deploy"
    assert (await told_of(backend, stranger)).says(stranger) == "no"
    await backend.policy(statement("Allow", PULL, Principal={"AWS": stranger}))
    assert (await told_of(backend, stranger)).says(stranger) == "depends"
    with pytest.raises(InvalidParameter, match="there is no user"):
        await told_of(backend, f"arn:aws:iam::{OWNER}:user/nobody")
    with pytest.raises(InvalidParameter, match="is not the ARN"):
        await told_of(backend, f"arn:aws:iam::{OWNER}:group/developers")


async def test_a_session_that_a_policy_names_has_the_policies_of_its_role(backend: Backend) -> None:
    session, unknown = (f"arn:aws:sts::{OWNER}:assumed-role/{name}/run" for name in ("deploy", "nobody"))
    trust = document({"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "sts:AssumeRole"})
    await backend.identity.roles.create(OWNER, "/ci/", "deploy", trust, BY)
    await backend.identity.inline.put(
        ROLE, OWNER, "deploy", "own", document(statement("Allow", "ecr:GetAuthorizationToken", Resource="*")), BY
    )
    await registry_policy(backend, statement("Allow", [*PULL, "ecr:BatchDeleteImage"], Principal="*", Resource="*"))
    await backend.registry.repository_policies.set(
        APP, document(statement("Deny", PULL[0], Principal={"AWS": session})), by=BY
    )
    found = await told(backend)
    assert (found.says(session), found.says(session, "delete")) == ("no", "yes")
    assert found.says(f"arn:aws:iam::{OWNER}:role/ci/deploy") == "yes"
    await backend.registry.repository_policies.set(
        APP, document(statement("Allow", "ecr:PutImage", Principal={"AWS": unknown})), by=BY
    )
    assert (await told(backend)).says(unknown, "delete") == "depends"  # its own policies may deny it


async def test_an_account_that_a_policy_names_is_not_taken_for_any_other(backend: Backend) -> None:
    await backend.policy(statement("Allow", PULL, Principal={"AWS": "999999999999"}))
    found = await told(backend)
    assert (found.says(account("999999999999")), found.says(ANY)) == ("yes", "no")


async def test_a_condition_on_a_pull_token_is_not_settled_for_a_user(backend: Backend) -> None:
    token = {"StringEquals": {"moorage:TokenName": "ci"}}
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*", Condition=token))
    assert (await told(backend)).says(ANN) == "depends"


async def test_a_change_that_guard_rails_or_registry_close_widens_nothing(backend: Backend) -> None:
    wide = PolicyVersion(text=document(statement("Allow", "ecr:PutImage", Principal={"AWS": OTHER})))
    nothing = PolicyVersion(text=document(statement("Allow", "ecr:PutImage", Principal={"AWS": OWNER})))

    async def wideners() -> set[str]:
        return {each.who for each in (await told(backend, version=wide, before=nothing)).answer.widened or ()}

    assert await wideners() == {account(OTHER)}
    await registry_policy(backend, statement("Deny", "ecr:PutImage", Principal="*", Resource="*"))
    assert await wideners() == set()
    await registry_policy(backend, statement("Deny", "ecr:PutImage", Principal="*", Resource="*", Condition=IN_NETWORK))
    assert await wideners() == {account(OTHER)}
    await backend.registry.registry_policies.delete(OWNER, HERE, by=BY)
    guarded = {"serviceControlPolicies": ["FullAWSAccess", "NoPush"]}
    await organise(backend, serviceControlPolicies={"NoPush": deny("ecr:PutImage")}, other=guarded)
    assert await wideners() == set()
    perimeter = deny(
        "ecr:PutImage", Principal="*", Condition={"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-x"}}
    )
    guarded = {"resourceControlPolicies": ["Perimeter"]}
    await organise(backend, resourceControlPolicies={"Perimeter": perimeter}, account=guarded)
    assert await wideners() == set()
    await organise(backend)
    assert await wideners() == {account(OTHER)}
