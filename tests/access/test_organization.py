"""The organization: what its document must be, whom its guard rails bind, and the condition keys it gives."""

import json
from typing import Any

import msgspec
import pytest

from moorage.access.caller import Caller
from moorage.access.organization import (
    MOST_POLICY_TEXT,
    MalformedOrganization,
    OrganizationAdministration,
    OrganizationNotFound,
    checked,
    keep,
)
from moorage.access.resources import NamedResource, RegistryResource
from moorage.analysis.simulate import principal as simulated
from moorage.errors import AccessDenied
from moorage.identity.accounts.organizations import Organizations
from moorage.names import AccountId
from moorage.store.metadata.epoch import Epochs
from tests.support.backend import APP, BY, HERE, OTHER, OWNER, Backend, connection, statement

MANAGEMENT = AccountId("000000000000")
ORG, ROOT, UNIT = "o-moorage000", "r-ab12", "ou-ab12-11111111"
PULL = "ecr:BatchGetImage"
TRUST = '{"Statement":{"Effect":"Allow","Principal":{"Service":"ecr.amazonaws.com"},"Action":"sts:AssumeRole"}}'
PATH = f"{ORG}/{ROOT}/{UNIT}/"


def organization(**changes: Any) -> dict[str, Any]:
    """The owner in a unit, the management account under the root; the other account is no member."""
    unit = {"id": UNIT, "accounts": [{"id": OWNER, **changes.pop("account", {})}], **changes.pop("unit", {})}
    root = {"id": ROOT, "accounts": [{"id": MANAGEMENT}], "units": [unit], **changes.pop("root", {})}
    return {"id": ORG, "managementAccount": MANAGEMENT, "root": root, **changes}


async def put(backend: Backend, **changes: Any) -> None:
    await keep(backend.identity.organizations, json.dumps(organization(**changes)), by="tests")


def deny(action: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*", **more}]}


async def sentence(backend: Backend, caller: Caller, action: str = PULL) -> str:
    with pytest.raises(AccessDenied) as denied:
        await backend.access.require(caller, connection(), action, APP)
    return denied.value.message


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"id": "o-short"}, "$.id:"),
    ({"managementAccount": "123456789012"}, "$.managementAccount: the account is not in a unit"),
    ({"extra": 1}, "$: "),
    (
        {"unit": {"id": "ou-zz99-11111111"}},
        "$.root.units[0].id: the id of a unit under this root must begin with ou-ab12-",
    ),
    ({"unit": {"accounts": [{"id": "12"}]}}, "$.root.units[0].accounts[0].id:"),
    (
        {"unit": {"accounts": [{"id": MANAGEMENT}]}},
        "$.root.units[0].accounts[0]: 000000000000 is listed more than once",
    ),
    ({"unit": {"serviceControlPolicies": ["none"]}}, "$.root.units[0].serviceControlPolicies[0]: there is no"),
    ({"unit": {"serviceControlPolicies": []}}, "$.root.units[0].serviceControlPolicies: no policy here allows"),
    (
        {"serviceControlPolicies": {"D": deny("ecr:*")}, "root": {"serviceControlPolicies": ["D"]}},
        "$.root.serviceControlPolicies: no policy here allows anything",
    ),
    ({"serviceControlPolicies": {"FullAWSAccess": deny("a:b")}}, "$.serviceControlPolicies.FullAWSAccess:"),
    (
        {"serviceControlPolicies": {"D": deny("ecr:*", Principal="*")}},
        "$.serviceControlPolicies.D.Statement.0",
    ),
    (
        {"serviceControlPolicies": {"D": deny("ecr:" + "x" * MOST_POLICY_TEXT)}},
        "$.serviceControlPolicies.D: longer than 10240 characters",
    ),
    ({"resourceControlPolicies": {"D": deny("ecr:*")}}, "$.resourceControlPolicies.D.Statement.0"),
    (
        {"resourceControlPolicies": {"D": {"Statement": statement("Allow", "ecr:*", Principal="*", Resource="*")}}},
        "$.resourceControlPolicies.D: a resource control policy can only deny",
    ),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_a_wrong_document_is_refused_with_its_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedOrganization) as refused:
        checked(json.dumps(organization(**changes)))
    assert refused.value.message.startswith(message)


def test_how_a_policy_is_laid_out_does_not_count() -> None:
    long = json.dumps(organization(serviceControlPolicies={"D": deny("ecr:*")}), indent=400)
    assert len(long) > 2 * MOST_POLICY_TEXT
    checked(long)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1:"),
        ('{"id": "o-moorage000",\n  oops}', "line 2, column 3:"),
        ('{"id": 1, "id": 2}', '"id": the object has this key more than once'),
        ("[" * 200_000, "$: nested too deeply"),
        ("x" * 1_100_000, "$: more than 1048576 bytes"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(MalformedOrganization) as refused:
        checked(text)
    assert refused.value.message.startswith(message)


def test_units_nest_five_deep() -> None:
    def nested(depth: int) -> str:
        unit: dict[str, Any] = {"id": f"ou-ab12-{depth:08}"}
        for level in range(depth - 1, 0, -1):
            unit = {"id": f"ou-ab12-{level:08}", "units": [unit]}
        return json.dumps(organization(root={"units": [unit]}))

    checked(nested(5))
    with pytest.raises(MalformedOrganization, match="nested deeper than 5"):
        checked(nested(6))


async def test_an_scp_binds_the_accounts_callers_root_included_and_not_the_management_account(backend: Backend) -> None:
    root, management = await backend.root(), await backend.root(MANAGEMENT)
    await backend.policy(statement("Allow", PULL, Principal="*"))
    assert await backend.may(root, PULL)
    attached = {"serviceControlPolicies": ["FullAWSAccess", "NoPull"]}
    await put(backend, serviceControlPolicies={"NoPull": deny(PULL)}, root=attached)
    assert (await sentence(backend, root)).endswith("with an explicit deny in a service control policy")
    assert await backend.may(root, "ecr:ListImages")
    assert await backend.may(management, PULL)
    assert await backend.may(await backend.root(OTHER), PULL)
    await backend.identity.organizations.remove(by="tests")
    assert await backend.may(root, PULL)


async def test_every_level_must_allow(backend: Backend) -> None:
    root = await backend.root()
    only = {"Statement": statement("Allow", ["ecr:List*", "ecr:Batch*"], Resource="*")}
    lists = {"Statement": statement("Allow", "ecr:List*", Resource="*")}
    await put(
        backend,
        serviceControlPolicies={"Some": only, "Lists": lists},
        unit={"serviceControlPolicies": ["Some"]},
        account={"serviceControlPolicies": ["Lists"]},
    )
    assert await backend.may(root, "ecr:ListImages")
    assert (await sentence(backend, root)).endswith(f"because no service control policy allows the {PULL} action")


async def test_an_rcp_guards_the_accounts_resources_from_everybody(backend: Backend) -> None:
    outsider, root = await backend.root(OTHER), await backend.root()
    await backend.policy(statement("Allow", PULL, Principal="*"))
    assert await backend.may(outsider, PULL)
    perimeter = deny(PULL, Principal="*", Condition={"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORG}})
    await put(
        backend, resourceControlPolicies={"Perimeter": perimeter}, unit={"resourceControlPolicies": ["Perimeter"]}
    )
    assert (await sentence(backend, outsider)).endswith("with an explicit deny in a resource control policy")
    assert await backend.may(root, PULL)
    assert await backend.may(await backend.root(MANAGEMENT), PULL)


@pytest.mark.parametrize("action", ["moorage:Purge", "moorage:Restore", "moorage:ReadAccess", "moorage:ReplayPolicy"])
async def test_an_rcp_guards_repositories_from_moorages_own_actions(backend: Backend, action: str) -> None:
    outsider, root = await backend.root(OTHER), await backend.root()
    await backend.policy(statement("Allow", ["*", "moorage:*"], Principal="*"))
    assert await backend.may(outsider, action)
    perimeter = deny("*", Principal="*", Condition={"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORG}})
    await put(
        backend, resourceControlPolicies={"Perimeter": perimeter}, unit={"resourceControlPolicies": ["Perimeter"]}
    )
    assert (await sentence(backend, outsider, action)).endswith("with an explicit deny in a resource control policy")
    assert await backend.may(root, action)


async def test_an_rcp_does_not_reach_services_that_aws_does_not_list(backend: Backend) -> None:
    root = await backend.root()
    everything = {"Everything": deny("*", Principal="*")}
    await put(backend, resourceControlPolicies=everything, unit={"resourceControlPolicies": ["Everything"]})
    user = NamedResource(OWNER, f"arn:aws:iam::{OWNER}:user/ann")
    assert await backend.access.allows(root, connection(), "iam:CreateUser", user)
    assert not await backend.access.allows(root, connection(), "sts:AssumeRole", user._replace(trust=""))
    assert not await backend.access.allows(
        root, connection(), "ecr:GetAuthorizationToken", RegistryResource(OWNER, HERE)
    )


@pytest.mark.parametrize(
    ("name", "path", "service", "may"),
    [
        ("AWSServiceRoleForECRReplication", "/aws-service-role/r/", "replication.ecr.amazonaws.com", True),
        ("anything", "/", "replication.ecr.amazonaws.com", True),
        ("AWSServiceRoleForECRReplication", "/", None, False),
        ("linked", "/x:role/aws-service-role/replication.ecr.amazonaws.com/", None, False),
    ],
)
async def test_scps_spare_roles_that_are_service_linked_and_none_that_is_called_so(
    backend: Backend, name: str, path: str, service: str | None, may: bool
) -> None:
    await backend.policy(statement("Allow", PULL, Principal="*"))
    attached = {"serviceControlPolicies": ["FullAWSAccess", "NoPull"]}
    await put(backend, serviceControlPolicies={"NoPull": deny(PULL)}, root=attached)
    role = await backend.identity.roles.create(OWNER, path, name, TRUST, BY, service=service)
    session = await backend.identity.sessions.create(OWNER, role.id, 900, kind="role", name="session", by="tests")
    caller = await backend.holder(session.id)
    assert caller.principal.service_linked is may
    assert simulated(role) == msgspec.structs.replace(caller.principal, arn=simulated(role).arn, id=simulated(role).id)
    assert await backend.may(caller, PULL) is may


@pytest.mark.parametrize(
    ("operator", "key", "value", "member", "outsider"),
    [
        ("StringEquals", "aws:PrincipalOrgID", ORG, True, False),
        ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", f"{ORG}/{ROOT}/*", True, False),
        ("ForAnyValue:StringEquals", "aws:PrincipalOrgPaths", PATH, False, False),  # the management's is the root's
        ("StringEquals", "aws:ResourceOrgID", ORG, True, True),
        ("ForAnyValue:StringEquals", "aws:ResourceOrgPaths", PATH, True, True),
        ("StringNotEquals", "aws:PrincipalOrgID", ORG, False, True),
    ],
)
async def test_conditions_on_the_organization(
    backend: Backend, operator: str, key: str, value: str, member: bool, outsider: bool
) -> None:
    await put(backend)
    await backend.policy(statement("Allow", PULL, Principal="*", Condition={operator: {key: value}}))
    management, other = await backend.root(MANAGEMENT), await backend.root(OTHER)
    assert (await backend.may(management, PULL), await backend.may(other, PULL)) == (member, outsider)


async def test_root_recovers_past_its_own_policies_and_not_past_the_organizations(backend: Backend) -> None:
    root = await backend.root()
    await backend.policy(statement("Deny", "ecr:*", Principal="*"))
    assert await backend.may(root, "ecr:SetRepositoryPolicy")
    await put(
        backend,
        serviceControlPolicies={"Reads": {"Statement": statement("Allow", "ecr:Get*", Resource="*")}},
        unit={"serviceControlPolicies": ["Reads"]},
    )
    assert await backend.may(root, "ecr:GetRepositoryPolicy")
    assert not await backend.may(root, "ecr:SetRepositoryPolicy")


async def test_who_may_change_it(backend: Backend) -> None:
    administration = OrganizationAdministration(backend.identity.organizations, backend.access, backend.settings)
    operator, owner = await backend.root(backend.settings.default_account), await backend.root()

    async def may(caller: Caller, action: str) -> bool:
        return await backend.access.allows(
            caller, connection(), f"moorage:{action}Organization", await administration.resource()
        )

    assert await may(operator, "Get")
    with pytest.raises(OrganizationNotFound):
        await administration.show()
    assert not await may(owner, "Put")  # nobody makes himself the master of others
    taken = json.dumps(organization(managementAccount=OWNER, unit={"accounts": []}, root={"accounts": [{"id": OWNER}]}))
    await administration.put(taken, by=operator.principal.arn)
    assert not await may(operator, "Put")
    assert not await may(operator, "Get")
    assert await may(owner, "Get")
    shown = await administration.show()
    assert (shown.document, shown.by) == (taken, operator.principal.arn)
    helper = await backend.user("helper", statement("Allow", "moorage:GetOrganization", Resource="*"))
    assert await may(helper, "Get")
    assert not await may(helper, "Delete")
    assert await may(owner, "Delete")
    await administration.delete(by=owner.principal.arn)
    assert await may(operator, "Get")
    documents, following = await administration.history(None)
    assert ([each.document for each in documents], following) == ([None, taken], None)


async def test_another_worker_sees_it_on_its_next_request(backend: Backend) -> None:
    others = Organizations(Epochs(backend.registry.repositories._db), backend.clock)
    assert await others.members() == {}
    await put(backend)
    assert set(await others.members()) == {OWNER, MANAGEMENT}
    assert (await others.members())[OWNER].path == PATH


async def test_signing_in_is_bound_too(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    whole = RegistryResource(OWNER, HERE)
    assert await backend.access.allows(ann, connection(), "ecr:GetAuthorizationToken", whole)
    await put(
        backend,
        serviceControlPolicies={"NoSignIn": deny("ecr:GetAuthorizationToken")},
        unit={"serviceControlPolicies": ["FullAWSAccess", "NoSignIn"]},
    )
    assert not await backend.access.allows(ann, connection(), "ecr:GetAuthorizationToken", whole)
