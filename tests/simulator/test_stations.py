"""What each kind of station answers, as one table."""

from __future__ import annotations

import pytest

from chargers.simulator.cars import Limit
from chargers.simulator.model import Kind
from chargers.simulator.stations import answer, unsupported

AMPERES, WATTS, CLEAR = Limit("current", 16), Limit("power", 11_000), None


@pytest.mark.parametrize(
    ("kind", "limit", "accepted", "status"),
    [
        (Kind.PHYSICAL, AMPERES, True, "Accepted"),
        (Kind.PHYSICAL, WATTS, True, "Accepted"),
        (Kind.PHYSICAL, CLEAR, True, "Accepted"),
        (Kind.DC, AMPERES, True, "Accepted"),
        (Kind.DC, WATTS, True, "Accepted"),
        (Kind.AMPERES_ONLY, AMPERES, True, "Accepted"),
        (Kind.AMPERES_ONLY, WATTS, False, "Rejected"),
        (Kind.AMPERES_ONLY, CLEAR, True, "Accepted"),
        (Kind.SIMULATOR, AMPERES, True, "Accepted"),
        (Kind.SIMULATOR, WATTS, False, "NotSupported"),
        (Kind.SIMULATOR, CLEAR, False, "NotSupported"),
    ],
)
def test_a_kind_of_station_understands_what_it_understands(
    kind: Kind, limit: Limit | None, accepted: bool, status: str
) -> None:
    said = answer(kind, limit, session_running=True, has_limit=True, strict_clear=False)

    assert (said.accepted, said.response_data) == (accepted, {"status": status})
    assert (unsupported(kind, limit) is not None) == (status == "NotSupported")


@pytest.mark.parametrize(
    ("has_limit", "strict_clear", "accepted"),
    [(True, True, True), (False, True, False), (True, False, True), (False, False, True)],
)
def test_a_clear_with_nothing_to_clear_fails_only_when_strict(
    has_limit: bool, strict_clear: bool, accepted: bool
) -> None:
    said = answer(
        Kind.PHYSICAL, CLEAR, session_running=True, has_limit=has_limit, strict_clear=strict_clear
    )

    assert said.accepted == accepted
    assert said.response_data == {"status": "Accepted" if accepted else "Unknown"}


@pytest.mark.parametrize(("limit", "status"), [(AMPERES, "Rejected"), (CLEAR, "Unknown")])
def test_without_a_running_transaction_there_is_nothing_to_limit(
    limit: Limit | None, status: str
) -> None:
    said = answer(Kind.PHYSICAL, limit, session_running=False, has_limit=False, strict_clear=False)

    assert not said.accepted
    assert said.response_data == {"status": status}
