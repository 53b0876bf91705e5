"""Revisions of policies."""

from typing import NamedTuple


class PolicyRevision(NamedTuple):
    """One entry in the history of a repository or registry policy."""

    policy_hash: str | None
    """SHA-256 of the text, in hex. None: the policy was deleted."""
    at: float
    """Seconds since the epoch."""
    by: str
    """The principal who made the change."""
