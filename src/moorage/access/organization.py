"""The organisation's document: checked before it is kept, and who may see and change it; which of it binds a request.

A deployment has one organisation. Its management account decides on it; as long as there is none, the default account
does (in `serve` the one that `moorage init` made first), so that no account can be taken into another's.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from moorage import policy
from moorage.access.authorize import Access, NamedResource
from moorage.access.background_computation import in_thread
from moorage.access.caller import Caller, Connection
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
)
from moorage.names import AccountId
from moorage.settings import Settings

MOST_TEXT: Final = 1 << 20
"""Bytes of a document."""
MOST_DEPTH: Final = 5
"""Units under units, as in AWS Organizations."""
MOST_POLICIES: Final = 10
"""SCPs, and RCPs, on one level."""
MOST_POLICY_TEXT: Final = 10_240
"""Characters of one policy, white space not counted: as it is laid out makes no difference."""
_SPACE: Final = re.compile(r"\s+")


class MalformedOrganization(MoorageError):
    """The document is none; the message begins with the place: a path, or line and column."""

    code = "MalformedOrganizationException"

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class OrganizationNotFound(MoorageError):
    """There is no organisation."""

    code = "OrganizationNotFoundException"
    status = 404

    def __init__(self) -> None:
        super().__init__("No organization is set.")


class OrganizationDesk:
    """Shows and changes the organization; what callers may do is decided on `resource`."""

    def __init__(self, organizations: Organizations, access: Access, settings: Settings) -> None:
        self._organizations = organizations
        self._access = access
        self._default = settings.default_account

    async def show(self) -> OrganizationVersion:
        """The document in force. OrganizationNotFound."""
        kept = await self._organizations.get()
        if kept is None or kept.document is None:
            raise OrganizationNotFound
        return kept

    async def history(self, before: int | None) -> tuple[list[OrganizationVersion], int | None]:
        """A page of the documents that were in force, newest first; and `before` of the next page."""
        return await self._organizations.history(before)

    async def put(self, document: str, *, by: str) -> None:
        """In force from the next request on. MalformedOrganization."""
        await keep(self._organizations, document, by=by)

    async def delete(self, *, by: str) -> None:
        """No account is a member from then on. OrganizationNotFound."""
        await self.show()
        await self._organizations.remove(by=by)

    async def require_sight(self, caller: Caller, connection: Connection) -> None:
        """AccessDenied unless the caller may see the organization (`moorage:GetOrganization`)."""
        await self._access.require(caller, connection, "moorage:GetOrganization", await self.resource())

    async def sees(self, caller: Caller, connection: Connection) -> bool:
        """Whether the caller may see it, were there one. Not recorded."""
        return await self._access.sees(caller, connection, "moorage:GetOrganization", await self.resource())

    async def resource(self) -> NamedResource:
        """What every action on the organization is decided on: it belongs to the management account."""
        return await organization_resource(self._organizations, self._default)


async def organization_resource(organizations: Organizations, default: AccountId) -> NamedResource:
    """What actions on the organization are decided on: its management account's; without one, that of `default`."""
    kept = await organizations.get()
    owner = default
    if kept is not None and kept.document is not None:
        owner = AccountId(msgspec.json.decode(kept.document, type=Organization).management_account)
    return NamedResource(owner, f"arn:aws:moorage::{owner}:organization")


async def keep(organizations: Organizations, document: str, *, by: str) -> None:
    """Check `document` and put it in force. MalformedOrganization."""
    await organizations.put(to_put(document, await read(document)), by=by)


async def read(document: str) -> Organization:
    """Check `document`, in a thread. MalformedOrganization."""
    return await in_thread(checked, document)


def to_put(document: str, organization: Organization) -> OrganizationDocument:
    """Return `document`, which was read as `organization`, as it is put in force."""
    policies = (organization.service_control_policies, organization.resource_control_policies)
    texts = [bytes(raw).decode() for each in policies for raw in each.values()]
    return OrganizationDocument(document, AccountId(organization.management_account), texts)


async def managers(organizations: Organizations, document: str | None) -> list[AccountId]:
    """The management accounts of the organisation in force and of that in `document`, where there are these."""
    kept = await organizations.get()
    documents = [each for each in (None if kept is None else kept.document, document) if each is not None]
    found = [await read(each) for each in documents]
    return list(dict.fromkeys(AccountId(each.management_account) for each in found))


def checked(document: str) -> Organization:
    """The organisation that `document` (JSON) holds. MalformedOrganization names the first fault and its place."""
    if len(document.encode("utf-8", "surrogatepass")) > MOST_TEXT:
        raise MalformedOrganization("$", f"more than {MOST_TEXT} bytes")
    try:
        json.loads(document, object_pairs_hook=_without_twins)
        organization = msgspec.json.decode(document, type=Organization)
    except json.JSONDecodeError as error:
        raise MalformedOrganization(f"line {error.lineno}, column {error.colno}", error.msg) from error
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `")
        raise MalformedOrganization(place.rstrip("`") or "$", reason) from error
    except (ValueError, RecursionError) as error:
        raise MalformedOrganization("$", "nested too deeply, or no text in UTF-8") from error
    _check_policies(organization)
    _check_tree(organization)
    return organization


def _without_twins(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        times = Counter(name for name, _ in members)
        twin = next(name for name in times if times[name] > 1)
        raise MalformedOrganization(f'"{twin[:64]}"', "the key is there twice in one object")
    return found


def _check_policies(organization: Organization) -> None:
    for member, policies, kind, own in (
        ("serviceControlPolicies", organization.service_control_policies, policy.Kind.SCP, FULL_ACCESS),
        ("resourceControlPolicies", organization.resource_control_policies, policy.Kind.RCP, RCP_FULL_ACCESS),
    ):
        for name, raw in policies.items():
            place, text = f"$.{member}.{name}", bytes(raw).decode()
            if name == own:
                raise MalformedOrganization(place, "this policy is AWS's, and there already")
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
            raise MalformedOrganization(place, f"{target.id} is there twice")
        seen.add(target.id)
        if isinstance(target, Unit) and not target.id.startswith(prefix):
            raise MalformedOrganization(f"{place}.id", f"a unit's id begins with {prefix}, after its root's")
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
                f"{place}.serviceControlPolicies", f"no policy here allows anything; name {FULL_ACCESS} as well"
            )
    if organization.management_account not in seen:
        raise MalformedOrganization("$.managementAccount", "the account is in no unit and not under the root")


def _check_names(place: str, names: tuple[str, ...], known: Mapping[str, object]) -> None:
    if len(names) > MOST_POLICIES:
        raise MalformedOrganization(place, f"more than {MOST_POLICIES} policies")
    for number, name in enumerate(names):
        if name not in known:
            raise MalformedOrganization(f"{place}[{number}]", f"there is no policy {name[:128]!r}")
        if name in names[:number]:
            raise MalformedOrganization(f"{place}[{number}]", f"{name!r} is there twice")


def _targets(branch: Root | Unit, place: str, depth: int) -> Iterator[tuple[str, Root | Unit | Account, int]]:
    """Everything that policies are attached to, with its place and how many units deep it is."""
    yield place, branch, depth
    for number, account in enumerate(branch.accounts):
        yield f"{place}.accounts[{number}]", account, depth
    for number, unit in enumerate(branch.units):
        yield from _targets(unit, f"{place}.units[{number}]", depth + 1)
