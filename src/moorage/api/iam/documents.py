"""Policy documents as IAM takes them in and gives them back."""

from urllib.parse import quote

from moorage import policy
from moorage.errors import QueryError


def checked(text: str, kind: policy.Kind = policy.Kind.IDENTITY) -> str:
    """`text`, if it is a policy of that kind; else MalformedPolicyDocument."""
    try:
        policy.parse(text, kind)
    except policy.PolicyError as error:
        raise malformed(error) from error
    return text


def malformed(error: policy.PolicyError) -> QueryError:
    """What is wrong and where; AWS says less."""
    return QueryError("MalformedPolicyDocument", f"{error.reason}, at {error.pointer or '/'}")


def shown(text: str) -> str:
    """Percent-encoded (RFC 3986), as IAM's answers have it."""
    return quote(text, safe="")
