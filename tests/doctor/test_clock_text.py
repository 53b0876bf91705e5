"""How far a clock is off, in words."""

import pytest

from moorage.doctor.server import _span


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (119.7, "2 min 0 s"),
        (599.6, "10 min 0 s"),
        (330, "5 min 30 s"),
        (7200, "2 hours"),
        (172_800, "2 days"),
    ],
)
def test_no_span_has_sixty_seconds(seconds: float, words: str) -> None:
    assert _span(seconds) == words
