"""Orders in plain words."""

from __future__ import annotations

import pytest

from dr_events.admin.words import restore_text


@pytest.mark.parametrize(
    ("rate_w_per_min", "said"),
    [(50_000, "50 kW"), (500, "0.5 kW"), (12_345_000, "12,345 kW"), (999_000_000, "999,000 kW")],
)
def test_a_slope_is_told_to_its_last_digit(rate_w_per_min: float, said: str) -> None:
    assert restore_text(rate_w_per_min) == f"as a slope of at most {said} a minute"
