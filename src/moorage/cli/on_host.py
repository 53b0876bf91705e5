"""Commands that open the database themselves, without a server. The administrator of the machine may do everything."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moorage import data_directory
from moorage.cli.client.calls import ServerSaidNoError
from moorage.cli.server.initialized import settings_here
from moorage.errors import MoorageError
from moorage.names import AccountId
from moorage.settings import Settings

if TYPE_CHECKING:
    from moorage.store.metadata.audit.audit import AuditStore

OnHost = Annotated[
    bool, typer.Option("--on-host", help="Change the database itself, as the administrator of this machine.")
]


def settings_on_host(data: Path | None, database_url: str | None) -> Settings:
    """Return the settings of the registry on this machine. Raise ServerSaidNoError."""
    settings = settings_here(Settings.from_environment(data=data, database_url=database_url))
    if settings.database_url is None and not (settings.data / "moorage.db").exists():
        raise ServerSaidNoError(
            f"there is no registry in {settings.data}; if its database is PostgreSQL, use --database-url"
        )
    if settings.data.is_dir():
        data_directory.prepare(settings.data)
    return settings


def acting_on_host(settings: Settings) -> None:
    """Print on standard error who a command acts as when it changes something."""
    where = settings.data if settings.database_url is None else "the database"
    sys.stderr.write(f"acting as the operator of this machine, in {where}\n")


async def record(
    audit: "AuditStore",
    settings: Settings,
    name: str,
    accounts: Iterable[AccountId],
    asked: Mapping[str, Any],
    refusal: MoorageError | None = None,
) -> None:
    """Add what was done to the audit record of each account that it concerns, as done by its root.

    `name` and `asked`: those of the call that does the same on a server. `refusal`: why it was not done.
    """
    # Imported here: importing them takes longer than any other command runs.
    from moorage import metrics, policy  # noqa: PLC0415
    from moorage.access import context  # noqa: PLC0415
    from moorage.access.caller import Caller, Connection  # noqa: PLC0415
    from moorage.api.admin.recorded_call import SOURCE  # noqa: PLC0415
    from moorage.api.aws.recorded_call import own_parameters  # noqa: PLC0415
    from moorage.audit.event import AuditEvent, RequestOrigin  # noqa: PLC0415
    from moorage.audit.recorder import Recorder  # noqa: PLC0415
    from moorage.clock import Clock  # noqa: PLC0415
    from moorage.identity.credentials.credentials import PolicySets  # noqa: PLC0415

    recorder = Recorder(audit, Clock(), settings, metrics.audit_dropped)
    parameters = own_parameters(asked)
    for account in accounts:
        root = policy.root_of(account)
        recorder.record_event(
            AuditEvent(
                source=SOURCE,
                name=name,
                region=settings.default_region,
                caller=Caller(root, "operator", "", PolicySets(), context.of_credential(root, None)),
                connection=Connection("", True, None, None, "", settings.default_region),
                read_only=False,
                request=parameters,
                error_code=None if refusal is None else refusal.code,
                error_message=None if refusal is None else refusal.message,
                origin=RequestOrigin(on_host=True),
            )
        )
    await recorder.stop()
