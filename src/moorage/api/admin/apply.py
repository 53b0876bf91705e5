"""The declarative file: applied, or only compared; and the file of what is there."""

import asyncio
import json
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.access.authorize import NamedResource
from moorage.access.caller import Connection
from moorage.access.declared import nodes, reading, writing
from moorage.access.declared.applying import Outcome
from moorage.access.declared.declaration import File
from moorage.access.declared.declared import Asked, told
from moorage.access.declared.steps import Author
from moorage.api.admin.service import AdminServices, Signed, names
from moorage.api.admin.trail import failed, is_read
from moorage.api.admin.turns import Turns
from moorage.errors import InvalidParameter
from moorage.identity.arns import root_arn
from moorage.names import AccountId, account_id

APPLY: Final = "moorage:Apply"
EXPORT: Final = "moorage:Export"
_BODY: Final = 2 * nodes.BYTES


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
    # A file of 1 MiB takes seconds and a hundred MiB of memory; so does the export of a large account.
    turns, exports = Turns(), Turns()

    async def apply(request: Request) -> Response:
        signed = await services.signed(request, limit=_BODY)
        await permitted(signed, APPLY, signed.account)
        asked = signed.decoded(ApplyRequest)
        if asked.dry_run:
            is_read(request)
        async with turns.taken():
            file = await read(signed, asked)
            outcome = await declared.apply(
                file,
                Asked(asked.dry_run, asked.prune, asked.keys),
                Author(signed.by, (signed.caller, _in_its_region(signed))),
            )
            if outcome.failed is not None:
                failed(request, outcome.failed[1])
            content = await asyncio.to_thread(_encoded, outcome)
        return _json(content)

    async def read(signed: Signed, asked: ApplyRequest) -> File:
        """What the file says, if it is about the caller's account alone and, it may be, the organization."""
        file = await asyncio.to_thread(reading.read, asked.text)
        if asked.accounts:
            with names():
                file = file.part(map(account_id, asked.accounts))
        for account in file.accounts:
            own(signed, account)
        if file.on_organization:
            await organization.require_sight(signed.caller, signed.connection)
        return file

    async def export(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        await permitted(signed, EXPORT, signed.account)
        async with exports.taken():
            sees = await organization.sees(signed.caller, signed.connection)
            file = await declared.export([signed.account], organization=sees)
            text = await asyncio.to_thread(writing.write, file)
        return JSONResponse({"text": text, "leftOut": [] if sees else ["organization"]})

    def own(signed: Signed, account: AccountId) -> None:
        if account != signed.account:
            raise InvalidParameter(
                f"The file is about account {account}, and you are of {signed.account}: apply each part with a key of "
                f"its own account (--account {signed.account}), or the file on the registry's machine (--on-host)."
            )

    async def permitted(signed: Signed, action: str, account: AccountId) -> None:
        resource = NamedResource(account, root_arn(account))
        await services.access.require(signed.caller, signed.connection, action, resource)

    return [
        Route("/_moorage/apply", apply, methods=["POST"]),
        Route("/_moorage/export", export, methods=["POST"]),
    ]


def _in_its_region(signed: Signed) -> Connection:
    """The connection with the region of the signature, as the AWS door has it (`aws:RequestedRegion`)."""
    if signed.connection.region == signed.region:
        return signed.connection
    return msgspec.structs.replace(signed.connection, region=signed.region)


def _encoded(outcome: Outcome) -> bytes:
    """The answer as JSON, change by change: one call for all of it would stop every other thread meanwhile."""
    answer = told(outcome)
    changes = ", ".join(map(json.dumps, answer.pop("changes")))
    return f'{{"changes": [{changes}], {json.dumps(answer)[1:]}'.encode()


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json", headers={"cache-control": "no-store"})
