"""The words of a notice."""

import pytest

from dr_events.notices import contents


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"kind": "per_session", "unit": "power", "value": 4200}, "4,200 W, per session"),
        ({"kind": "per_event", "unit": "power", "value": 1_234_567}, "1,234,567 W, per event"),
        ({"kind": "relief", "unit": "power", "value": 1_234_567.5}, "1,234,567.5 W, relief"),
        ({"kind": "per_session", "unit": "current", "value": 16.0}, "16 A, per session"),
        ({"kind": "percent", "unit": "power", "value": 33.3}, "33.3 %, percent"),
    ],
)
def test_a_limit_is_told_to_its_last_digit(limit, said):
    content = {"type": "test", "timestamp": "2026-07-01T18:00:00Z", "data": {"limit": limit}}

    assert f"limit: {said}" in contents.text_of("A test", content).splitlines()
