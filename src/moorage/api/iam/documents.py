"""Policy documents as IAM takes them and returns them."""

from urllib.parse import quote

from moorage import policy
from moorage.errors import QueryError


def checked(text: str, *, managed: bool = False) -> str:
    """Return `text` if IAM takes it as a new identity policy. Raises MalformedPolicyDocument.

    `managed`: it is a version of a managed policy.
    """
    refused = policy.refusal(policy.parsed(text, policy.Kind.IDENTITY), managed=managed)
    if refused is not None:
        raise QueryError("MalformedPolicyDocument", refused)
    return text


def encoded(text: str) -> str:
    """Return a document percent-encoded (RFC 3986), as IAM's responses have it."""
    return quote(text, safe="")
