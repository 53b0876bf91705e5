"""Every operation of Moorage's own API, with its path, its action, and the resources that the action is decided on."""

from typing import Final

from moorage.access.organization import MOST_TEXT
from moorage.analysis.reachability import READ_ACCESS
from moorage.api.admin import (
    access,
    apply,
    audit,
    dev,
    explain,
    generate,
    health,
    jobs,
    organization,
    password,
    replay,
    tokens,
    trash,
)
from moorage.api.admin.operation import operation, table, the_repository
from moorage.api.authorization import BY_STATE, UNAUTHENTICATED
from moorage.audit.reader import READ_AUDIT

ADMIN: Final = table(
    operation(
        "/_moorage/access",
        access.access,
        READ_ACCESS,
        access.the_subject,
        read_only=True,
        continues=lambda request: bool(request.after),
    ),
    operation(
        "/_moorage/apply",
        apply.apply,
        apply.APPLY,
        apply.own_account,
        body_limit=apply.BODY,
        read_only=lambda request: request.dry_run,
    ),
    operation(
        "/_moorage/export",
        apply.export,
        apply.EXPORT,
        apply.own_account,
        read_only=True,
        continues=lambda request: request.after is not None,
    ),
    operation(
        "/_moorage/audit",
        audit.audit,
        READ_AUDIT,
        audit.the_record,
        read_only=True,
        continues=lambda request: request.after is not None,
    ),
    operation("/_moorage/explain", explain.explain, BY_STATE, method="GET"),
    operation("/_moorage/explain/{decision}", explain.explain, BY_STATE, method="GET"),
    operation("/_moorage/policy/generate", generate.generate, replay.REPLAY, the_repository, read_only=True),
    operation("/_moorage/ready", health.ready, UNAUTHENTICATED, method="GET", any_host=True),
    operation("/_moorage/health", health.health, UNAUTHENTICATED, method="GET", any_host=True),
    operation("/_localstack/health", health.health, UNAUTHENTICATED, method="GET", any_host=True),
    operation("/metrics", health.exposed, UNAUTHENTICATED, method="GET"),
    operation(
        "/_moorage/jobs/list",
        jobs.list_jobs,
        "moorage:ListJobs",
        jobs.the_deployment,
        read_only=True,
        continues=lambda request: bool(request.after),
    ),
    operation("/_moorage/jobs/show", jobs.show_job, "moorage:GetJob", jobs.the_deployment, read_only=True),
    operation("/_moorage/jobs/cancel", jobs.cancel_job, "moorage:CancelJob", jobs.the_deployment),
    operation("/_moorage/jobs/retry", jobs.retry_job, "moorage:RetryJob", jobs.the_deployment),
    operation(
        "/_moorage/organization/show",
        organization.show,
        "moorage:GetOrganization",
        organization.the_organization,
        read_only=True,
    ),
    operation(
        "/_moorage/organization/history",
        organization.history,
        "moorage:GetOrganization",
        organization.the_organization,
        read_only=True,
        continues=lambda request: bool(request.after),
    ),
    operation(
        "/_moorage/organization/put",
        organization.put,
        "moorage:PutOrganization",
        organization.the_organization,
        body_limit=2 * MOST_TEXT,
    ),
    operation(
        "/_moorage/organization/delete",
        organization.delete,
        "moorage:DeleteOrganization",
        organization.the_organization,
    ),
    operation("/_moorage/password", password.password, UNAUTHENTICATED, method="GET"),
    operation("/_moorage/policy/try", replay.attempt, replay.REPLAY, the_repository, read_only=True),
    operation("/_moorage/tokens/create", tokens.create, tokens.CREATE, tokens.new_owner),
    operation(
        "/_moorage/tokens/list",
        tokens.listed,
        tokens.LIST,
        tokens.listed_owner,
        read_only=True,
        continues=lambda request: bool(request.after),
    ),
    operation("/_moorage/tokens/revoke", tokens.revoke, tokens.REVOKE, tokens.owner_of_token),
    operation("/_moorage/restore", trash.restore, "moorage:Restore", trash.the_deleted),
    operation("/_moorage/purge", trash.purge, "moorage:Purge", trash.the_purged),
)
"""The operations of every server."""

DEV: Final = table(
    operation("/_moorage/reset", dev.reset, UNAUTHENTICATED),
    operation("/moto-api/reset", dev.reset, UNAUTHENTICATED),
    operation("/_moorage/clock", dev.set_clock, UNAUTHENTICATED),
    operation("/_moorage/faults", dev.faults, UNAUTHENTICATED, method="GET"),
    operation("/_moorage/faults", dev.add_fault, UNAUTHENTICATED),
    operation("/_moorage/faults/clear", dev.clear_faults, UNAUTHENTICATED),
)
"""The operations that only dev mode has."""
