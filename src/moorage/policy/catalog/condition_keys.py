"""The condition keys of ECR's requests: type, presence, and where each value comes from.

See docs/development/policy-engine.md §3.6. Keys that AWS has and Moorage never sets are listed too: a policy copied
from AWS has no misspelled key.
"""

from typing import Final, Literal, NamedTuple

KeyType = Literal["String", "Numeric", "Date", "Bool", "IpAddress", "Arn"]

_TAGGING: Final = frozenset({"CreateRepository", "TagResource", "ListTagsForResource"})
_TAG_KEYS: Final = _TAGGING | {"UntagResource"}
_SETTING: Final = frozenset({"GetAccountSetting", "PutAccountSetting"})


class ConditionKey(NamedTuple):
    """One row of the table."""

    name: str
    """In AWS's spelling; compared without regard to case. `aws:ResourceTag/` stands for the key of every tag."""
    types: tuple[KeyType, ...]
    """The first is the type of the key; operators of the others accept its values too."""
    present: str
    """Which requests have the key."""
    source: str
    """Where the value comes from."""
    multivalued: bool = False
    actions: frozenset[str] | None = None
    """The ECR actions (without `ecr:`) whose requests can have it; None: all actions."""
    on_repository: bool = False
    """Whether only actions on a repository have it."""

    @property
    def family(self) -> bool:
        """Whether a tag key follows the slash."""
        return self.name.endswith("/")

    @property
    def may_be_absent(self) -> bool:
        """Whether some requests have it and others, even signed ones, do not."""
        return self.present not in {"always", _SIGNED, "there is a resource", NEVER}

    @property
    def populated(self) -> bool:
        """Whether Moorage ever sets it."""
        return self.present != NEVER


NEVER: Final = "never"

_S: Final[tuple[KeyType, ...]] = ("String",)
_ARN: Final[tuple[KeyType, ...]] = ("Arn", "String")
_BOOL: Final[tuple[KeyType, ...]] = ("Bool",)
_SIGNED: Final = "every signed request"
_ORG: Final = "an organization is configured"
_NETWORK: Final = "AWS's own networks only"
_FORWARDED: Final = "an AWS service calls on with the caller's credentials"

_TABLE: Final = (
    ConditionKey(
        "aws:SourceIp", ("IpAddress",), "always", "the connection; forwarded headers from trusted proxies only"
    ),
    ConditionKey("aws:SecureTransport", _BOOL, "always", "whether TLS ended here or at a trusted proxy"),
    ConditionKey("aws:CurrentTime", ("Date",), "always", "the server's clock, ISO 8601 with Z"),
    ConditionKey("aws:EpochTime", ("Date", "Numeric"), "always", "the server's clock, Unix seconds"),
    ConditionKey("aws:UserAgent", _S, "the header is sent", "the User-Agent header"),
    ConditionKey("aws:Referer", _S, "the header is sent", "the Referer header"),
    ConditionKey("aws:RequestedRegion", _S, "always", "the region of the signature's scope or of the host name"),
    ConditionKey("aws:PrincipalArn", _ARN, _SIGNED, "user ARN; for a role session the ARN of its role"),
    ConditionKey("aws:PrincipalAccount", _S, _SIGNED, "the caller's account, 12 digits"),
    ConditionKey(
        "aws:PrincipalType", _S, "always", "Account, User, AssumedRole, FederatedUser, WebIdentityUser or Anonymous"
    ),
    ConditionKey(
        "aws:userid", _S, "always", "AIDA… of a user, AROA…:SESSION of a role session, the account id of root"
    ),
    ConditionKey("aws:username", _S, "the caller is a user", "the user's name, without path"),
    ConditionKey("aws:PrincipalTag/", _S, "the caller has the tag", "tags of the user or role; session tags first"),
    ConditionKey("aws:PrincipalIsAWSService", _BOOL, _SIGNED, "true for replication and pull through caches only"),
    ConditionKey("aws:PrincipalServiceName", _S, "a service calls", "the service's name"),
    ConditionKey("aws:PrincipalServiceNamesList", _S, "a service calls", "all names of the service", multivalued=True),
    ConditionKey("aws:PrincipalOrgID", _S, _ORG, "the organization of the caller's account"),
    ConditionKey("aws:PrincipalOrgPaths", _S, _ORG, "the paths to the caller's account", multivalued=True),
    ConditionKey("aws:ResourceOrgID", _S, _ORG, "the organization of the registry's account"),
    ConditionKey("aws:ResourceOrgPaths", _S, _ORG, "the paths to the registry's account", multivalued=True),
    ConditionKey("aws:ResourceAccount", _S, "there is a resource", "the registry's account, 12 digits"),
    ConditionKey("aws:ResourceTag/", _S, "the repository has the tag", "the repository's tags", on_repository=True),
    ConditionKey("ecr:ResourceTag/", _S, "the repository has the tag", "the repository's tags", on_repository=True),
    ConditionKey("aws:RequestTag/", _S, "the request has the tag", "tags of the request", actions=_TAGGING),
    ConditionKey(
        "aws:TagKeys", _S, "the request has tags", "tag keys of the request", multivalued=True, actions=_TAG_KEYS
    ),
    ConditionKey("ecr:AccountSetting", _S, "always", "the setting that the request names", actions=_SETTING),
    ConditionKey("aws:TokenIssueTime", ("Date",), "temporary credentials", "when the session was made"),
    ConditionKey("aws:MultiFactorAuthPresent", _BOOL, "temporary credentials", "whether the session was made with MFA"),
    ConditionKey("aws:MultiFactorAuthAge", ("Numeric",), "sessions made with MFA", "seconds since then"),
    ConditionKey("aws:SourceIdentity", _S, "a session that set it", "AssumeRole's SourceIdentity"),
    ConditionKey("aws:FederatedProvider", _S, "a session of a web identity", "the provider's ARN or name"),
    ConditionKey("moorage:TokenName", _S, "a pull token calls", "the token's name"),
    ConditionKey("aws:ViaAWSService", _BOOL, "always", "true when a service acts with the caller's credentials"),
    ConditionKey("aws:CalledVia", _S, _FORWARDED, "the services on the way", multivalued=True),
    ConditionKey("aws:CalledViaFirst", _S, _FORWARDED, "the first service on the way"),
    ConditionKey("aws:CalledViaLast", _S, _FORWARDED, "the last service on the way"),
    ConditionKey(
        "aws:SourceArn", _ARN, "a service acts for a resource", "that resource, such as the source repository"
    ),
    ConditionKey("aws:SourceAccount", _S, "a service acts for a resource", "that resource's account"),
    ConditionKey("aws:SourceOrgID", _S, "a service acts for a resource", "the organization of that account"),
    ConditionKey("aws:SourceOrgPaths", _S, NEVER, _NETWORK, multivalued=True),
    ConditionKey("aws:SourceVpc", _S, NEVER, _NETWORK),
    ConditionKey("aws:SourceVpcArn", _ARN, NEVER, _NETWORK),
    ConditionKey("aws:SourceVpce", _S, NEVER, _NETWORK),
    ConditionKey("aws:VpcSourceIp", ("IpAddress",), NEVER, _NETWORK),
    ConditionKey("aws:VpceAccount", _S, NEVER, _NETWORK),
    ConditionKey("aws:VpceOrgID", _S, NEVER, _NETWORK),
    ConditionKey("aws:VpceOrgPaths", _S, NEVER, _NETWORK, multivalued=True),
    ConditionKey("aws:Ec2InstanceSourceVpc", _S, NEVER, _NETWORK),
    ConditionKey("aws:Ec2InstanceSourcePrivateIPv4", ("IpAddress",), NEVER, _NETWORK),
    ConditionKey("aws:AssumedRoot", _BOOL, NEVER, "root sessions of AWS Organizations only"),
    ConditionKey("aws:ChatbotSourceArn", _ARN, NEVER, "AWS's chat applications only"),
)

CONDITION_KEYS: Final = {key.name: key for key in _TABLE}
"""Every key by its name."""

_BY_LOWER_NAME: Final = {key.name.lower(): key for key in _TABLE}


def condition_key(name: str) -> ConditionKey | None:
    """Return the key of that name (in any case, with its tag key if there is one); None if there is none."""
    lowered = name.lower()
    prefix, slash, tag = lowered.partition("/")
    if slash and tag:
        return _BY_LOWER_NAME.get(prefix + slash)
    return None if slash else _BY_LOWER_NAME.get(lowered)


def is_family_without_tag(name: str) -> bool:
    """Return whether the name is `aws:ResourceTag` or similar, without the tag key after the slash."""
    return name.lower().rstrip("/") + "/" in _BY_LOWER_NAME
