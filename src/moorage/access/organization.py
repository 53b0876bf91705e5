"""The document of the organization: checks it before it is stored, and decides who may see and change it.

A deployment has one organization, which belongs to its management account. While there is none, it belongs to the
default account (in `serve` the one that `moorage init` created), so that no account can be added to that of another.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.background_computation import in_thread
from moorage.access.caller import Caller, Connection
from moorage.access.resources import NamedResource
from moorage.errors import MoorageError
from moorage.identity.accounts.organizations import (
    FULL_ACCESS,
    RCP_FULL_ACCESS,
    Account,
    Organization,
    OrganizationDocument,
    Organizations,
    OrganizationVersion,
    Root,
    Unit,
    management_account,
)
from moorage.names import AccountId
from moorage.settings import Settings

MOST_TEXT: Final = 1 << 20
"""Most bytes of a document."""
MOST_DEPTH: Final = 5
"""Most levels of nested units, as in AWS Organizations."""
MOST_POLICIES: Final = 10
"""Most SCPs, and most RCPs, on one level."""
MOST_POLICY_TEXT: Final = 10_240
"""Most characters of one policy; white space is not counted."""
_SPACE: Final = re.compile(r"\s+")


class MalformedOrganization(MoorageError):
    """The document is invalid. The message begins with the place of the error: a path, or line and column."""

    code = "MalformedOrganizationException"

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class OrganizationNotFound(MoorageError):
    """There is no organization."""

    code = "OrganizationNotFoundException"
    status = 404

    def __init__(self) -> None:
        super().__init__("No organization is set.")


class OrganizationAdministration:
    """Shows and changes the organization; what callers may do is decided on `resource`."""

    def __init__(self, organizations: Organizations, access: Access, settings: Settings) -> None:
        self._organizations = organizations
        self._access = access
        self._default = settings.default_account

    async def show(self) -> OrganizationVersion:
        """Return the document in force. Raise OrganizationNotFound."""
        kept = await self._organizations.get()
        if kept is None or kept.document is None:
            raise OrganizationNotFound
        return kept

    async def history(self, before: int | None) -> tuple[list[OrganizationVersion], int | None]:
        """Return a page of the documents that were in force, newest first, and `before` of the next page."""
        return await self._organizations.history(before)

    async def put(self, document: str, *, by: str) -> None:
        """Put a document in force. Raise MalformedOrganization."""
        await keep(self._organizations, document, by=by)

    async def delete(self, *, by: str) -> None:
        """Delete the organization. Raise OrganizationNotFound."""
        await self.show()
        await self._organizations.remove(by=by)

    async def require_sight(self, caller: Caller, connection: Connection) -> None:
        """Raise AccessDenied unless the caller may see the organization (`moorage:GetOrganization`)."""
        await self._access.require(caller, connection, "moorage:GetOrganization", await self.resource())

    async def sees(self, caller: Caller, connection: Connection) -> bool:
        """Return whether the caller may see the organization, whether there is one or not. Not recorded."""
        return await self._access.sees(caller, connection, "moorage:GetOrganization", await self.resource())

    async def resource(self) -> NamedResource:
        """Return the resource that actions on the organization are decided on."""
        return await organization_resource(self._organizations, self._default)

    async def deployment(self) -> NamedResource:
        """Return the resource of every action on the deployment as a whole, such as its background jobs.

        It belongs to the account that decides on the organization: only identities of that account can be allowed to
        administer what serves all accounts.
        """
        owner = AccountId((await self.resource()).account)
        return NamedResource(owner, f"arn:aws:moorage::{owner}:deployment")


async def organization_resource(organizations: Organizations, default: AccountId) -> NamedResource:
    """Return the resource that actions on the organization are decided on; without one, it belongs to `default`."""
    kept = await organizations.get()
    owner = default if kept is None or kept.document is None else management_account(kept.document)
    return NamedResource(owner, f"arn:aws:moorage::{owner}:organization")


async def keep(organizations: Organizations, document: str, *, by: str) -> None:
    """Check `document` and put it in force. Raise MalformedOrganization."""
    await organizations.put(to_put(document, await read(document)), by=by)


async def read(document: str) -> Organization:
    """Check `document` in a thread. Raise MalformedOrganization."""
    return await in_thread(checked, document)


def to_put(document: str, organization: Organization) -> OrganizationDocument:
    """Return `document`, which was read as `organization`, as it is put in force."""
    policies = (organization.service_control_policies, organization.resource_control_policies)
    texts = [bytes(raw).decode() for each in policies for raw in each.values()]
    return OrganizationDocument(document, AccountId(organization.management_account), texts)


async def managers(organizations: Organizations, document: str | None) -> list[AccountId]:
    """Return the management accounts of the organization in force and of that in `document`, if they exist."""
    kept = await organizations.get()
    found = [] if kept is None or kept.document is None else [management_account(kept.document)]
    if document is not None:
        found.append(AccountId((await read(document)).management_account))
    return list(dict.fromkeys(found))


def checked(document: str) -> Organization:
    """Return the organization in `document` (JSON). Raise MalformedOrganization for the first error."""
    if len(document.encode("utf-8", "surrogatepass")) > MOST_TEXT:
        raise MalformedOrganization("$", f"more than {MOST_TEXT} bytes")
    try:
        json.loads(document, object_pairs_hook=_without_duplicates)
        organization = msgspec.json.decode(document, type=Organization)
    except json.JSONDecodeError as error:
        raise MalformedOrganization(f"line {error.lineno}, column {error.colno}", error.msg) from error
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `")
        raise MalformedOrganization(place.rstrip("`") or "$", reason) from error
    except (ValueError, RecursionError) as error:
        raise MalformedOrganization("$", "nested too deeply, or not valid UTF-8") from error
    _check_policies(organization)
    _check_tree(organization)
    return organization


def _without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        times = Counter(name for name, _ in members)
        duplicate = next(name for name in times if times[name] > 1)
        raise MalformedOrganization(f'"{duplicate[:64]}"', "the object has this key more than once")
    return found


def _check_policies(organization: Organization) -> None:
    for member, policies, kind, own in (
        ("serviceControlPolicies", organization.service_control_policies, policy.Kind.SCP, FULL_ACCESS),
        ("resourceControlPolicies", organization.resource_control_policies, policy.Kind.RCP, RCP_FULL_ACCESS),
    ):
        for name, raw in policies.items():
            place, text = f"$.{member}.{name}", bytes(raw).decode()
            if name == own:
                raise MalformedOrganization(place, "this policy is predefined by AWS")
            if len(_SPACE.sub("", text)) > MOST_POLICY_TEXT:
                raise MalformedOrganization(place, f"longer than {MOST_POLICY_TEXT} characters")
            try:
                document = policy.parse(text, kind)
            except policy.PolicyError as error:
                raise MalformedOrganization(f"{place}{error.pointer.replace('/', '.')}", error.reason) from error
            if kind is policy.Kind.RCP and any(statement.allow for statement in document.statements):
                raise MalformedOrganization(place, "a resource control policy can only deny")


def _check_tree(organization: Organization) -> None:
    allowing = {FULL_ACCESS} | {
        name
        for name, raw in organization.service_control_policies.items()
        if any(each.allow for each in policy.parse(bytes(raw).decode(), policy.Kind.SCP).statements)
    }
    prefix = f"ou-{organization.root.id.removeprefix('r-')}-"
    seen: set[str] = set()
    for place, target, depth in _targets(organization.root, "$.root", 0):
        if target.id in seen:
            raise MalformedOrganization(place, f"{target.id} is listed more than once")
        seen.add(target.id)
        if isinstance(target, Unit) and not target.id.startswith(prefix):
            raise MalformedOrganization(f"{place}.id", f"the id of a unit under this root must begin with {prefix}")
        if depth > MOST_DEPTH:
            raise MalformedOrganization(place, f"units are nested deeper than {MOST_DEPTH}")
        _check_names(
            f"{place}.serviceControlPolicies",
            target.service_control_policies,
            {FULL_ACCESS: None, **organization.service_control_policies},
        )
        _check_names(
            f"{place}.resourceControlPolicies",
            target.resource_control_policies,
            {RCP_FULL_ACCESS: None, **organization.resource_control_policies},
        )
        if allowing.isdisjoint(target.service_control_policies):
            raise MalformedOrganization(
                f"{place}.serviceControlPolicies", f"no policy here allows anything; add {FULL_ACCESS}"
            )
    if organization.management_account not in seen:
        raise MalformedOrganization("$.managementAccount", "the account is not in a unit or under the root")


def _check_names(place: str, names: tuple[str, ...], known: Mapping[str, object]) -> None:
    if len(names) > MOST_POLICIES:
        raise MalformedOrganization(place, f"more than {MOST_POLICIES} policies")
    for number, name in enumerate(names):
        if name not in known:
            raise MalformedOrganization(f"{place}[{number}]", f"there is no policy {name[:128]!r}")
        if name in names[:number]:
            raise MalformedOrganization(f"{place}[{number}]", f"{name!r} is listed more than once")


def _targets(branch: Root | Unit, place: str, depth: int) -> Iterator[tuple[str, Root | Unit | Account, int]]:
    """Yield everything that policies are attached to, with its place and the number of units above it."""
    yield place, branch, depth
    for number, account in enumerate(branch.accounts):
        yield f"{place}.accounts[{number}]", account, depth
    for number, unit in enumerate(branch.units):
        yield from _targets(unit, f"{place}.units[{number}]", depth + 1)
