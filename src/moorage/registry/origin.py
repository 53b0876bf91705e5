"""Whose rules a push or a deletion follows: those of ECR, or those of the OCI specification."""

from typing import Literal, TypeAlias

from moorage.settings import Settings

Api: TypeAlias = Literal["ecr", "oci"]
"""The API that a request came through."""


def follows_ecr(api: Api, settings: Settings) -> bool:
    """Return whether ECR's rules apply: always in the ECR API, and in the OCI API with the profile `aws`."""
    return api == "ecr" or settings.profile == "aws"
