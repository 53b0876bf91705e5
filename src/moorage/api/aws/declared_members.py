"""The parameters of the operations of IAM and STS that the audit record keeps: those that their models declare.

Whatever else a form holds (the parameters of a presigned URL, a mistyped name) is not kept. Of the declared ones, those
that are secrets are not here. `tests/api/aws/test_recorded_call.py` compares this list with botocore's models.
"""

from typing import Final

QUERY: Final = frozenset(
    """
    AWSServiceName AccessKeyId AccountAlias ActionNames AllUsers AssignmentStatus AssumeRolePolicyDocument CallerArn
    ContextEntries CustomSuffix DeletionTaskId Description DurationSeconds Encoding EntityFilter ExternalId Filter
    GroupName InstanceProfileName Marker MaxItems MaxSessionDuration MinimumSessionTokenSize Name NewGroupName
    NewPath NewUserName OnlyAttached OpenIDConnectProviderArn OrderedOrganizationPolicyInputList Path PathPrefix
    PermissionsBoundary PermissionsBoundaryPolicyInputList Policy PolicyArn PolicyArns PolicyDocument
    PolicyExclusionList PolicyInputList PolicyName PolicySourceArn PolicyUsageFilter PrincipalArn ProviderId
    ResourceArns ResourceHandlingOption ResourceOwner ResourcePolicy RoleArn RoleName RoleSessionName
    SAMLProviderArn SSHPublicKeyId Scope SerialNumber ServerCertificateName ServiceName SetAsDefault SourceIdentity
    Status TagKeys Tags TransitiveTagKeys UserName VersionId
    """.split()  # noqa: SIM905 - a paragraph reads better than seventy lines
)
"""First steps of the names: `Tags` of `Tags.member.1.Key`."""
SECRET: Final = frozenset({"EncodedMessage", "ProvidedContexts", "SAMLAssertion", "TokenCode", "WebIdentityToken"})
"""Declared ones that are told to be there, without their values."""
