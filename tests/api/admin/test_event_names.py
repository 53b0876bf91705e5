"""The names that Moorage's own calls have in the audit record."""

from moorage.api.admin.operations import ADMIN


def test_events_are_named_as_the_permission_that_they_need() -> None:
    decided = [each for each in ADMIN if isinstance(each.action, str)]
    assert len(decided) > 10
    for each in decided:
        assert f"moorage:{each.event}" == each.action
