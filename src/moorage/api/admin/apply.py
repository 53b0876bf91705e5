"""Declarative files: apply one, compare one with what exists, or export what exists."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.responses import JSONResponse, Response

from moorage.access.resources import NamedResource
from moorage.api.admin.operation import Call, names
from moorage.api.authorization import Target
from moorage.declarative import reader, writer, yaml_nodes
from moorage.declarative.declaration import File
from moorage.declarative.executor import ApplyResult
from moorage.declarative.service import ApplyOptions, result_as_json
from moorage.declarative.steps import Author
from moorage.errors import InvalidParameter
from moorage.identity.arns import root_arn
from moorage.names import AccountId, account_id

APPLY: Final = "moorage:Apply"
EXPORT: Final = "moorage:Export"
BODY: Final = 2 * yaml_nodes.BYTES


class ApplyRequest(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    """The text of the file."""
    dry_run: bool = False
    prune: bool = False
    keys: bool = False
    """As in `ApplyOptions`."""
    accounts: tuple[str, ...] = ()
    """Parts of the file to apply; empty for all of it."""


def own_account(call: Call, _request: object) -> Sequence[Target]:
    """Return the root of the caller's account, which the file is about."""
    return (NamedResource(call.account, root_arn(call.account)),)


async def apply(call: Call, asked: ApplyRequest) -> Response:
    """Apply the file. Each of its steps is decided under its own action before the first is carried out."""
    async with call.services.applying.taken():
        file = await _read(call, asked)
        outcome = await call.services.declarative_files.apply(
            file, ApplyOptions(asked.dry_run, asked.prune, asked.keys), Author(call.by, (call.caller, call.connection))
        )
        if outcome.failed is not None and not asked.dry_run:
            call.failure = outcome.failed[1]
        content = await asyncio.to_thread(_encoded, outcome)
    return Response(content, media_type="application/json", headers={"cache-control": "no-store"})


class ExportRequest(msgspec.Struct, forbid_unknown_fields=True):
    after: str | None = None
    """`next` of the previous page."""


async def export(call: Call, asked: ExportRequest) -> Response:
    """Return a page of the file. The texts of all pages, joined, are the file."""
    files, organization = call.services.declarative_files, call.services.organization
    async with call.services.exporting.taken():
        sees = await organization.sees(call.caller, call.connection)
        page = await files.exporter.page(call.account, asked.after, organization=sees)
    head = f"{writer.HEAD}{writer.ACCOUNTS}:\n" if asked.after is None else ""
    left_out = [] if sees else ["organization"]
    return JSONResponse({"text": head + page.text, "leftOut": left_out, "next": page.following})


async def _read(call: Call, asked: ApplyRequest) -> File:
    """Return what the file declares, if it is about the caller's account alone and, optionally, the organization."""
    file = await asyncio.to_thread(reader.read, asked.text)
    if asked.accounts:
        with names():
            file = file.part(map(account_id, asked.accounts))
    for account in file.accounts:
        _check_own(call, account)
    if file.has_organization:
        await call.services.organization.require_sight(call.caller, call.connection)
    return file


def _check_own(call: Call, account: AccountId) -> None:
    if account != call.account:
        raise InvalidParameter(
            f"The file is about account {account}, and you are of {call.account}: apply each part with a key of "
            f"its own account (--account {call.account}), or the file on the registry's machine (--on-host)."
        )


def _encoded(outcome: ApplyResult) -> bytes:
    """Return the response as JSON, made change by change: one call for all of it would block every other thread."""
    answer = result_as_json(outcome)
    changes = ", ".join(map(json.dumps, answer.pop("changes")))
    return f'{{"changes": [{changes}], {json.dumps(answer)[1:]}'.encode()
