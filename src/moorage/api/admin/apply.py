"""The declarative file: applied, or only compared; and the file of what is there."""

import asyncio
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.access.authorize import NamedResource
from moorage.access.declared import reading, writing
from moorage.access.declared.changes import Change
from moorage.access.declared.declared import warnings
from moorage.api.admin.service import AdminServices, Signed
from moorage.api.admin.trail import is_read
from moorage.errors import InvalidParameter
from moorage.identity.arns import root_arn
from moorage.names import AccountId

APPLY: Final = "moorage:Apply"
EXPORT: Final = "moorage:Export"
_BODY: Final = 2 * reading.BYTES


class ApplyRequest(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    """The file."""
    dry_run: bool = False
    prune: bool = False
    """Delete what the file does not name, in the accounts that it names."""
    keys: bool = False
    """Make an access key for every user that has none."""


def routes(services: AdminServices) -> list[Route]:
    declared = services.declared

    async def apply(request: Request) -> Response:
        signed = await services.signed(request, limit=_BODY)
        asked = signed.decoded(ApplyRequest)
        if asked.dry_run:
            is_read(request)
        accounts = await asyncio.to_thread(reading.read, asked.text)  # YAML takes its time
        for account in accounts:
            await permitted(signed, APPLY, account)
        told: list[dict[str, Any]] = []
        keys: list[dict[str, Any]] = []
        failed: dict[str, Any] | None = None
        for account, wanted in accounts.items():
            planned = await declared.plan(account, wanted, prune=asked.prune)
            if not asked.dry_run:
                planned, failure = await declared.apply(account, planned, signed.caller, signed.connection)
                if failure is not None:
                    change, error = failure
                    failed = {**_shown(account, change), "code": error.code, "message": error.message}
            told += [_shown(account, change) for change in planned]
            if failed is not None:
                break
            if asked.keys and not asked.dry_run:
                keys += [{"account": account, **each} for each in await declared.make_keys(account, wanted)]
        answer = {"changes": told, "failed": failed, "keys": keys}
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    async def export(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        await permitted(signed, EXPORT, signed.account)
        account = await declared.export(signed.account)
        return JSONResponse({"text": await asyncio.to_thread(writing.write, {signed.account: account})})

    async def permitted(signed: Signed, action: str, account: AccountId) -> None:
        if account != signed.account:
            raise InvalidParameter(
                f"The file is about account {account}, and you are of {signed.account}: apply it with a key of its own."
            )
        resource = NamedResource(account, root_arn(account))
        await services.access.require(signed.caller, signed.connection, action, resource)

    return [
        Route("/_moorage/apply", apply, methods=["POST"]),
        Route("/_moorage/export", export, methods=["POST"]),
    ]


def _shown(account: AccountId, change: Change) -> dict[str, Any]:
    return {
        "account": account,
        "operation": change.operation,
        "section": change.section,
        "name": change.label,
        "aspects": {name: list(values) for name, values in change.aspects.items()},
        "warnings": [each._asdict() for each in warnings(account, change)],
    }
