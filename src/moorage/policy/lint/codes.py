"""The finding codes: severity, title and fix of each (docs/development/policy-engine.md §6; docs/reference/lint.md).

Codes and titles are IAM Access Analyzer's where it has the check. ERROR is reserved for what Set… refuses: what AWS's
checks call an error although it can be set is a WARNING here.
"""

from enum import Enum
from typing import Final, NamedTuple


class Severity(Enum):
    """From the most to the least severe. The values are Access Analyzer's findingType."""

    ERROR = "ERROR"
    SECURITY_WARNING = "SECURITY_WARNING"
    WARNING = "WARNING"
    SUGGESTION = "SUGGESTION"

    @property
    def rank(self) -> int:
        """0 is the most severe."""
        return _RANKS[self]


_RANKS: Final = {severity: rank for rank, severity in enumerate(Severity)}


class Code(NamedTuple):
    """A kind of finding."""

    name: str
    severity: Severity
    title: str
    fix: str


_E: Final = Severity.ERROR
_SEC: Final = Severity.SECURITY_WARNING
_W: Final = Severity.WARNING
_S: Final = Severity.SUGGESTION

_TEXT: Final = (
    Code("JSON_SYNTAX_ERROR", _E, "Json syntax error", "Correct the JSON at this place."),
    Code(
        "POLICY_TOO_LARGE", _E, "Policy too large to read", "Split the policy, or name groups of things by wildcards."
    ),
    Code("NESTED_TOO_DEEPLY", _E, "Nested too deeply", "A policy needs six levels; remove the nesting."),
    Code("DUPLICATE_ELEMENT", _E, "Duplicate element", "Keep one of the two, or join their values in one array."),
    Code("DATA_TYPE_MISMATCH", _E, "Data type mismatch", "Write the JSON type that the element needs."),
    Code("INVALID_TEXT", _E, "Invalid text", "Write the whole character instead of half a surrogate pair."),
    Code("EMPTY_TEXT", _E, "Empty text", "Remove the empty text or write what it should name."),
    Code("VALUE_TOO_LONG", _E, "Value too long", "Shorten it: nothing that exists has so long a name."),
)
_DOCUMENT: Final = (
    Code("INVALID_POLICY_ELEMENT", _E, "Invalid policy element", "Remove it, or correct its spelling and case."),
    Code("MISSING_STATEMENT", _E, "Missing statement", "Add a Statement with at least one statement."),
    Code("INVALID_VERSION", _E, "Invalid version", 'Use "2012-10-17".'),
    Code("MISSING_VERSION", _W, "Missing version", 'Add "Version": "2012-10-17".'),
    Code("OLD_VERSION", _W, "Old version", 'Use "2012-10-17": 2008-10-17 has no policy variables.'),
    Code("POLICY_SIZE_EXCEEDS_QUOTA", _W, "Policy size exceeds quota", "Shorten the policy, or split it."),
    Code("TOO_LONG_TO_ANALYZE", _W, "Too long to analyze", "Shorten the policy: only its grammar was checked."),
    Code("LOCK_OUT", _W, "Policy locks its account out", "Except the administrators of the account from the Deny."),
)
_STATEMENT: Final = (
    Code("MISSING_EFFECT", _E, "Missing effect", 'Add "Effect": "Allow" or "Effect": "Deny".'),
    Code("INVALID_EFFECT", _E, "Invalid effect", "Use Allow or Deny, in this case."),
    Code("UNSUPPORTED_ELEMENT_COMBINATION", _E, "Unsupported element combination", "Keep one of the two elements."),
    Code("UNSUPPORTED_SID", _E, "Unsupported Sid", "Use A-Z, a-z and 0-9 only."),
    Code("DUPLICATE_SID", _E, "Duplicate Sid", "Give each statement an id of its own."),
    Code("UNIQUE_SIDS_RECOMMENDED", _W, "Unique Sids recommended", "Give each statement an id of its own."),
    Code("EMPTY_SID_VALUE", _S, "Empty Sid value", "Remove the Sid or write one."),
    Code("REDUNDANT_STATEMENT", _S, "Redundant statement", "Remove it: another statement says the same."),
    Code("NO_EFFECT", _W, "No effect", "Remove it, or make it say what was meant."),
    Code("INCOMPLETE_PULL", _W, "Incomplete pull", "Allow ecr:BatchGetImage and ecr:GetDownloadUrlForLayer together."),
    Code("INCOMPLETE_PUSH", _W, "Incomplete push", "Allow all five actions that a push is made of."),
    Code("MISSING_AUTH_TOKEN", _S, "Missing ecr:GetAuthorizationToken", 'Allow it on Resource "*".'),
)
_PRINCIPAL: Final = (
    Code("MISSING_PRINCIPAL", _E, "Missing principal", "Add a Principal element to the policy statement."),
    Code(
        "UNSUPPORTED_PRINCIPAL", _E, "Unsupported principal", "Remove it: the policy speaks of whom it is attached to."
    ),
    Code("INVALID_PRINCIPAL_FORMAT", _E, "Invalid principal format", 'Use "*" or {"AWS": "…"}, {"Service": "…"}.'),
    Code("INVALID_PRINCIPAL_KEY", _E, "Invalid principal key", "Use AWS or Service."),
    Code("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", _E, "Unsupported wildcard in principal", "Name principals in full."),
    Code("FEDERATED_PRINCIPAL_NOT_SUPPORTED", _E, "Federated principal not supported", "Name the role it assumes."),
    Code("INVALID_SERVICE_PRINCIPAL_FORMAT", _E, "Invalid service principal format", "Use SERVICE.amazonaws.com."),
    Code("PRINCIPAL_NOT_EVERYONE", _E, "Principal must be *", 'Use "Principal": "*" and narrow it by a Condition.'),
    Code("EMPTY_ARRAY_PRINCIPAL", _E, "Empty array principal", "Name at least one principal."),
    Code("EMPTY_OBJECT_PRINCIPAL", _E, "Empty object principal", "Name at least one principal."),
    Code("INVALID_USER_REFERENCE", _W, "Invalid user reference", "Name the user by its ARN, or remove it."),
    Code("INVALID_ROLE_REFERENCE", _W, "Invalid role reference", "Name the role by its ARN, or remove it."),
    Code("REDUNDANT_PRINCIPAL", _S, "Redundant principal", "Remove it: another entry names it already."),
    Code(
        "PUBLIC_PRINCIPAL",
        _SEC,
        "Open to everyone",
        "Name principals, or add a Condition such as aws:PrincipalAccount.",
    ),
    Code("ALLOW_WITH_NOT_PRINCIPAL", _SEC, "Allow with NotPrincipal", "Use Principal instead."),
    Code(
        "DENY_WITH_NOT_PRINCIPAL", _W, "Deny with NotPrincipal", "Use Principal * and a Condition on aws:PrincipalArn."
    ),
    Code(
        "RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL",
        _SEC,
        "Restrict access to service principal",
        "Add a Condition on aws:SourceArn or aws:SourceAccount.",
    ),
    Code(
        "OVERBROAD_CROSS_ACCOUNT",
        _SEC,
        "Overbroad cross-account access",
        "List the actions that the other account needs; keep policy and administration out.",
    ),
    Code(
        "ORGANIZATION_GRANT_SKIPS_BOUNDARIES",
        _SEC,
        "Organization-wide grant skips boundaries",
        "Name the member accounts as principals, or except your own account by aws:PrincipalAccount.",
    ),
)
_ACTION: Final = (
    Code("MISSING_ACTION", _E, "Missing action", "Add an Action element."),
    Code("INVALID_ACTION", _E, "Invalid action", "Name an action of ECR."),
    Code("UNSUPPORTED_ACTION_IN_POLICY", _E, "Unsupported action in policy", "Allow it in an identity policy instead."),
    Code("INVALID_SERVICE_IN_ACTION", _E, "Invalid service in action", "Use the prefix ecr."),
    Code("EMPTY_ARRAY_ACTION", _E, "Empty array action", "Name at least one action."),
    Code("UNKNOWN_ACTION", _W, "Unknown action", "Name an action that exists."),
    Code("UNKNOWN_SERVICE", _W, "Unknown service", "Name a service that exists."),
    Code("WILDCARD_IN_SERVICE_NAME", _W, "Wildcard in service name", "Write the service in full; * alone is allowed."),
    Code("ACTION_MATCHES_NOTHING", _W, "Action matches nothing", "Correct the pattern or remove it."),
    Code("REDUNDANT_ACTION", _S, "Redundant action", "Remove it: another entry covers it."),
    Code("ALLOW_WITH_NOT_ACTION", _SEC, "Allow with NotAction", "List what is allowed by Action instead."),
    Code("MOORAGE_ACTIONS_NOT_DENIED", _SEC, "Moorage's actions not denied", "Deny moorage:* beside ecr:*."),
    Code("REFERRERS_NEED_BATCH_GET_IMAGE", _S, "ListImageReferrers is no action", "Use ecr:BatchGetImage."),
)
_RESOURCE: Final = (
    Code("MISSING_RESOURCE", _E, "Missing resource", "Add a Resource element."),
    Code("RESOURCE_NOT_ALLOWED", _E, "Resource not allowed", "Remove it: the resource is the repository itself."),
    Code("INVALID_ARN_PREFIX", _E, "Invalid ARN prefix", "Write an ARN that begins with arn:, or *."),
    Code("MISSING_ARN_FIELD", _E, "Missing ARN field", "Write arn:aws:ecr:REGION:ACCOUNT:repository/NAME."),
    Code("EMPTY_ARRAY_RESOURCE", _E, "Empty array resource", "Name at least one resource."),
    Code("INCOMPLETE_ARN", _W, "Incomplete ARN", "Write all six fields; the missing ones are read as *."),
    Code("INVALID_ARN_ACCOUNT", _W, "Invalid ARN account", "Write the account's 12 digits."),
    Code("INVALID_ARN_REGION", _W, "Invalid ARN Region", "Write a region such as us-east-1."),
    Code(
        "INVALID_ARN_RESOURCE", _W, "Invalid ARN resource", "Write repository/NAME, lower-case, without tag or digest."
    ),
    Code("WILDCARD_IN_RESOURCE_TYPE", _W, "Wildcard in resource type", "Write the type in full, such as repository/*."),
    Code("REDUNDANT_RESOURCE", _S, "Redundant resource", "Remove it: another entry covers it."),
    Code("RESOURCE_STAR", _W, "Every resource", "Name the repositories: arn:aws:ecr:REGION:ACCOUNT:repository/NAME."),
)
_CONDITION: Final = (
    Code("INVALID_CONDITION_OPERATOR", _E, "Invalid condition operator", "Use an operator that exists."),
    Code("NULL_WITH_IF_EXISTS", _E, "Null with if exists", "Use Null: it asks whether the key exists."),
    Code(
        "INVALID_CONDITION_KEY_FORMAT", _E, "Invalid condition key format", "Write prefix:name, such as aws:SourceIp."
    ),
    Code(
        "DUPLICATE_KEYS_WITH_DIFFERENT_CASE",
        _E,
        "Duplicate keys with different case",
        "Keep one of the two: keys have no case.",
    ),
    Code("OPERATOR_SPELLING", _S, "Operator spelling", "Use AWS's spelling."),
    Code("NULL_WITH_QUALIFIER", _S, "Null with qualifier", "Remove the qualifier: it changes nothing."),
    Code("INVALID_GLOBAL_CONDITION_KEY", _W, "Invalid global condition key", "Use a global key that exists."),
    Code("INVALID_SERVICE_CONDITION_KEY", _W, "Invalid service condition key", "Use an aws: or ecr: key that exists."),
    Code("CONDITION_KEY_NEVER_SET", _W, "Condition key never set", "Use a key that requests here have."),
    Code(
        "UNSUPPORTED_ACTION_FOR_CONDITION_KEY",
        _W,
        "Unsupported action for condition key",
        "Move the actions that the key fits to a statement of their own.",
    ),
    Code("MISSING_TAG_KEY_IN_CONDITION", _W, "Missing tag key in condition", "Add a slash and the tag's key."),
    Code("MISSING_QUALIFIER", _W, "Missing qualifier", "Use ForAnyValue: or ForAllValues: before the operator."),
    Code(
        "FORALLVALUES_WITH_SINGLE_VALUED_KEY",
        _SEC,
        "ForAllValues with single valued key",
        "Remove ForAllValues: it holds when the key is missing.",
    ),
    Code("TYPE_MISMATCH", _W, "Type mismatch", "Use an operator of the key's type."),
    Code("TYPE_MISMATCH_BOOLEAN", _W, "Type mismatch Boolean", "Use true or false."),
    Code("TYPE_MISMATCH_NUMBER", _W, "Type mismatch number", "Write a number."),
    Code("TYPE_MISMATCH_IP_RANGE", _W, "Type mismatch IP range", "Write an address or CIDR range."),
    Code("TYPE_MISMATCH_ARN", _W, "Type mismatch ARN", "Write an ARN of six fields."),
    Code("TYPE_MISMATCH_BINARY", _W, "Type mismatch binary", "Write base64."),
    Code("INVALID_DATE_VALUE", _W, "Invalid date value", "Write 2026-01-31 or 2026-01-31T12:00:00Z."),
    Code("WILDCARD_WITHOUT_LIKE_OPERATOR", _W, "Wildcard without like operator", "Use StringLike or StringNotLike."),
    Code("INVALID_CONDITION_MULTIPLE_BOOLEAN", _W, "Invalid condition multiple Boolean", "Keep one value."),
    Code("IMPROVE_IP_RANGE", _S, "Improve IP range", "Write the range's own first address."),
    Code("EMPTY_ARRAY_CONDITION", _S, "Empty array condition", "Write a value, or remove the key."),
    Code("EMPTY_OBJECT_CONDITION", _S, "Empty object condition", "Remove it: an empty condition always holds."),
    Code("REDUNDANT_CONDITION_VALUE", _S, "Redundant condition value", "Remove it: another value covers it."),
    Code(
        "MFA_KEY_MAY_BE_ABSENT",
        _SEC,
        "MFA key may be absent",
        "Use BoolIfExists: long-term keys have no aws:MultiFactorAuthPresent.",
    ),
    Code(
        "NEGATED_KEY_MAY_BE_ABSENT",
        _SEC,
        "Negated condition on a key that may be absent",
        'Add "Null": {"KEY": "false"}, or list the values that are allowed.',
    ),
)
_VARIABLE: Final = (
    Code("MISSING_BRACE_IN_VARIABLE", _W, "Missing brace in variable", "Close the variable with }."),
    Code("MISSING_QUOTE_IN_VARIABLE", _W, "Missing quote in variable", "Write the default in single quotes."),
    Code("UNSUPPORTED_SPACE_IN_VARIABLE", _W, "Unsupported space in variable", "Remove the space."),
    Code("EMPTY_VARIABLE", _W, "Empty variable", "Name a condition key between the braces."),
    Code("UNKNOWN_VARIABLE", _W, "Unknown variable", "Name a single-valued condition key that requests have."),
    Code("VARIABLE_UNSUPPORTED_IN_ELEMENT", _W, "Variable unsupported in element", "Write the value itself."),
    Code("INVALID_VARIABLE_FOR_OPERATOR", _W, "Invalid variable for operator", "Write the value itself."),
    Code(
        "VARIABLE_UNSUPPORTED_IN_VERSION",
        _W,
        "Variable unsupported in version",
        'Use "Version": "2012-10-17"; without it ${…} is plain text.',
    ),
)

CODES: Final = {
    code.name: code
    for group in (_TEXT, _DOCUMENT, _STATEMENT, _PRINCIPAL, _ACTION, _RESOURCE, _CONDITION, _VARIABLE)
    for code in group
}
"""Every code by its name, in the order of docs/reference/lint.md."""
