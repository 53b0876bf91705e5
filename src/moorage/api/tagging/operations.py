"""Every operation of the Resource Groups Tagging API that is built, with its action."""

from typing import Final

from moorage.api.aws.operation import Operation, Service
from moorage.api.tagging import keys, resources, shapes, tags
from moorage.api.tagging.service import NAME, TaggingServices, no_resource
from moorage.errors import InvalidParameter

OPERATIONS: Final = (
    Operation("GetResources", resources.get_resources, "tag:GetResources", no_resource),
    Operation("GetTagKeys", keys.get_tag_keys, "tag:GetTagKeys", no_resource),
    Operation("GetTagValues", keys.get_tag_values, "tag:GetTagValues", no_resource),
    Operation("TagResources", tags.tag_resources, "tag:TagResources", no_resource, conditions=tags.given_tags),
    Operation("UntagResources", tags.untag_resources, "tag:UntagResources", no_resource, conditions=tags.removed_keys),
)

NOT_BUILT: Final = frozenset(
    {"DescribeReportCreation", "GetComplianceSummary", "ListRequiredTags", "StartReportCreation"}
)
"""Operations that answer UnknownOperationException: they are about tag policies, which Moorage does not have."""

TAGGING: Final[Service[TaggingServices]] = Service(
    NAME,
    "json",
    "ResourceGroupsTaggingAPI_20170126",
    OPERATIONS,
    shapes.OPERATIONS,
    joins_violations=frozenset(shapes.OPERATIONS),
    joined=InvalidParameter,
)
