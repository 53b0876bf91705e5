"""Whose rules a push or a deletion follows: ECR's own, or the OCI specification's."""

from typing import Literal

from moorage.settings import Settings

Door = Literal["ecr", "oci"]


def follows_ecr(door: Door, settings: Settings) -> bool:
    """The ECR API always behaves as ECR; the data plane does in profile `aws` (docs/reference/differences.md)."""
    return door == "ecr" or settings.profile == "aws"
