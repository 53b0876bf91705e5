"""Registry policies as decisions see them."""

from typing import NamedTuple


class RegistryState(NamedTuple):
    """What a decision needs to know of a registry."""

    policy_hash: str | None
    """SHA-256 of the text of its policy, in hex. None: it has no policy."""
    scope: str
    """`V1`: the policy applies to a few actions between registries; `V2`: it applies to every request."""
