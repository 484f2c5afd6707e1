"""Fields that take a value for what it is."""

from datetime import UTC, datetime, timedelta

import pytest
from rest_framework.serializers import ValidationError

from dr_events.fields import Duration, Flag, Instant, Number, Text, WholeNumber


@pytest.mark.parametrize(
    ("field", "given", "taken"),
    [
        (Number(), 4200, 4200.0),
        (Number(), 0.5, 0.5),
        (WholeNumber(), 7, 7),
        (Flag(), True, True),
        (Text(), "x", "x"),
        (Instant(), "2026-07-01T18:00:00+02:00", datetime(2026, 7, 1, 16, tzinfo=UTC)),
        (Instant(), "2026-07-01T18:00:00Z", datetime(2026, 7, 1, 18, tzinfo=UTC)),
        (Duration(), "PT45M", timedelta(minutes=45)),
        (Duration(), "P1DT12H", timedelta(days=1, hours=12)),
        (Duration(), "P1W", timedelta(weeks=1)),
        (Duration(), "PT0.5H", timedelta(minutes=30)),
    ],
)
def test_what_is_right_is_taken(field, given, taken):
    assert field.run_validation(given) == taken


@pytest.mark.parametrize(
    ("field", "given", "code"),
    [
        (Number(), "4200", "not_a_number"),
        (Number(), True, "not_a_number"),
        (Number(), None, "null"),
        (Number(), [], "not_a_number"),
        (Number(), float("nan"), "not_finite"),
        (Number(), float("inf"), "not_finite"),
        (Number(), 10**400, "not_finite"),
        (Number(min_value=0), -1, "min_value"),
        (WholeNumber(), 1.0, "not_an_integer"),
        (WholeNumber(), "1", "not_an_integer"),
        (WholeNumber(), False, "not_an_integer"),
        (Flag(), 1, "not_a_boolean"),
        (Flag(), "true", "not_a_boolean"),
        (Text(), 7, "not_a_string"),
        (Text(), "", "blank"),
        (Text(), "   ", "blank"),
        (Text(), "a\x00b", "null_characters_not_allowed"),
        (Text(max_length=3), "abcd", "max_length"),
        (Instant(), "2026-07-01T18:00:00", "naive"),
        (Instant(), "2026-07-01", "naive"),
        (Instant(), "tomorrow", "not_a_time"),
        (Instant(), 1782921600, "not_a_time"),
        (Instant(), "0001-01-01T00:00:00+14:00", "not_a_time"),
        (Duration(), "45 minutes", "not_a_duration"),
        (Duration(), 45, "not_a_duration"),
        (Duration(), "P1M", "no_fixed_length"),
        (Duration(), "P1Y", "no_fixed_length"),
        (Duration(), "PT0S", "out_of_range"),
        (Duration(), "-PT1H", "out_of_range"),
        (Duration(), "P367D", "out_of_range"),
        (Duration(), "P99999999999999999D", "not_a_duration"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(field, given, code):
    with pytest.raises(ValidationError) as refused:
        field.run_validation(given)

    assert refused.value.get_codes() == [code]
