"""The declarative file: applied, or only compared; and the file of what is there."""

import asyncio
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.access.authorize import NamedResource
from moorage.access.declared import reading, writing
from moorage.access.declared.applying import Author
from moorage.access.declared.declared import Asked, told
from moorage.api.admin.service import AdminServices, Signed, names
from moorage.api.admin.trail import failed, is_read
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


def routes(services: AdminServices) -> list[Route]:
    declared, organization = services.declared, services.organization

    async def apply(request: Request) -> Response:
        signed = await services.signed(request, limit=_BODY)
        asked = signed.decoded(ApplyRequest)
        if asked.dry_run:
            is_read(request)
        file = await asyncio.to_thread(reading.read, asked.text)  # YAML takes its time
        if asked.accounts:
            with names():
                file = file.part(map(account_id, asked.accounts))
        for account in file.accounts:
            await permitted(signed, APPLY, account)
        if file.on_organization:
            await organization.require_apply(signed.caller, signed.connection, ends=file.organization is None)
        outcome = await declared.apply(
            file,
            Asked(asked.dry_run, asked.prune, asked.keys),
            Author(signed.by, signed.caller, signed.connection),
        )
        if outcome.failed is not None:
            failed(request, outcome.failed[1])
        return JSONResponse(told(outcome), headers={"cache-control": "no-store"})

    async def export(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        await permitted(signed, EXPORT, signed.account)
        sees = await organization.sees(signed.caller, signed.connection)
        file = await declared.export([signed.account], organization=sees)
        text = await asyncio.to_thread(writing.write, file)
        return JSONResponse({"text": text, "leftOut": [] if sees else ["organization"]})

    async def permitted(signed: Signed, action: str, account: AccountId) -> None:
        if account != signed.account:
            raise InvalidParameter(
                f"The file is about account {account}, and you are of {signed.account}: apply each part with a key of "
                f"its own account (--account {signed.account}), or the file on the registry's machine (--on-host)."
            )
        resource = NamedResource(account, root_arn(account))
        await services.access.require(signed.caller, signed.connection, action, resource)

    return [
        Route("/_moorage/apply", apply, methods=["POST"]),
        Route("/_moorage/export", export, methods=["POST"]),
    ]
