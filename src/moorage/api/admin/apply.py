"""The declarative file: applied, or only compared; and the file of what is there."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.responses import JSONResponse, Response

from moorage.access.authorize import NamedResource
from moorage.access.declared import reading, writing
from moorage.access.declared.applying import Author
from moorage.access.declared.declared import Asked, told
from moorage.api.admin.operation import ADMIN, Call, names
from moorage.api.authorization import Target
from moorage.errors import InvalidParameter
from moorage.identity.arns import root_arn
from moorage.names import AccountId, account_id

APPLY: Final = "moorage:Apply"
EXPORT: Final = "moorage:Export"
_BODY: Final = 2 * reading.BYTES


class ApplyRequest(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    """The file."""
    dry_run: bool = False
    prune: bool = False
    keys: bool = False
    """As in `Asked`."""
    accounts: tuple[str, ...] = ()
    """Only what the file says of these; empty: all of it."""


def _own_account(call: Call, request: object) -> Sequence[Target]:
    """Its root: the file is about the caller's account."""
    return (NamedResource(call.account, root_arn(call.account)),)


@ADMIN.operation(
    "/_moorage/apply",
    action=APPLY,
    resource=_own_account,
    body_limit=_BODY,
    read_only=lambda request: request.dry_run,
)
async def apply(signed: Call, asked: ApplyRequest) -> Response:
    declared, organization = signed.services.declared, signed.services.organization
    file = await asyncio.to_thread(reading.read, asked.text)  # YAML takes its time
    if asked.accounts:
        with names():
            file = file.part(map(account_id, asked.accounts))
    for account in file.accounts:
        _check_own(signed, account)
    if file.on_organization:
        await organization.require_apply(signed.caller, signed.connection, ends=file.organization is None)
    outcome = await declared.apply(
        file,
        Asked(asked.dry_run, asked.prune, asked.keys),
        Author(signed.by, signed.caller, signed.connection),
    )
    if outcome.failed is not None:
        signed.failure = outcome.failed[1]
    return JSONResponse(told(outcome), headers={"cache-control": "no-store"})


@ADMIN.operation("/_moorage/export", action=EXPORT, resource=_own_account, read_only=True)
async def export(signed: Call, asked: None) -> Response:
    declared, organization = signed.services.declared, signed.services.organization
    sees = await organization.sees(signed.caller, signed.connection)
    file = await declared.export([signed.account], organization=sees)
    text = await asyncio.to_thread(writing.write, file)
    return JSONResponse({"text": text, "leftOut": [] if sees else ["organization"]})


def _check_own(signed: Call, account: AccountId) -> None:
    if account != signed.account:
        raise InvalidParameter(
            f"The file is about account {account}, and you are of {signed.account}: apply each part with a key of "
            f"its own account (--account {signed.account}), or the file on the registry's machine (--on-host)."
        )
