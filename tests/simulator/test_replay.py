"""Real sessions replayed: what becomes of each row, odd ones included."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chargers.simulator.clock import ms_from_iso
from chargers.simulator.replay import COLUMNS, Plan, ReplayError, plan_of, read_plan
from tests.simulator.support import asynchronous, listening, running

HEAD = ",".join(COLUMNS)
DAY = "2019-10-10 "
MAX_W = 208 * 32


def row(
    connects: str = "08:00:00",
    done: str = "10:00:00",
    disconnects: str = "12:00:00",
    kwh: str = "8",
    *,
    space: str = "CA-1",
    station: str = "2-39-1",
) -> str:
    times = [at if at[:4] == "2019" else f"{DAY}{at}" for at in (connects, done, disconnects)]
    return ",".join(["77", station, space, *times, kwh])


def plan(*rows: str) -> Plan:
    return plan_of([HEAD, *rows])


def reasons(made: Plan) -> list[tuple[int, str]]:
    return [(note.line, note.reason) for note in made.notes]


def test_a_row_becomes_a_visit_that_delivers_its_energy_in_time() -> None:
    made = plan(row())
    (visit,) = made.visits

    assert made.notes == []
    assert (visit.station, visit.space, visit.line) == ("2-39-1", "CA-1", 2)
    assert visit.connects_ms == ms_from_iso("2019-10-10T08:00:00Z")
    assert (visit.disconnects_ms - visit.connects_ms) / 3_600_000 == 4
    assert visit.energy_wh == 8000
    assert visit.power_w == pytest.approx(4000)


@pytest.mark.parametrize(
    ("text", "power_w", "reason"),
    [
        # 0.5 kWh in two hours would be 250 W: no AC car takes less than 6 A
        (row(kwh="0.5"), 6 * 208, None),
        (row(kwh="60"), MAX_W, "needs 30.00 kW: charges at the connector's full power"),
        (row(done="07:59:00"), MAX_W, "done before it connects: charges at full power"),
        (row(done="08:00:00"), MAX_W, "done before it connects: charges at full power"),
        (row(kwh="0"), 0.0, "no energy: plugged in but idle"),
        (row(done=""), 2000, "no doneChargingTime: charges until it disconnects"),
        (row(disconnects="2019-10-14 08:00:00"), 4000, None),  # days are fine
    ],
)
def test_an_odd_row_is_played_as_well_as_it_can_be(
    text: str, power_w: float, reason: str | None
) -> None:
    text = text.replace(f",{DAY},", ",,")
    made = plan(text)

    assert [visit.power_w for visit in made.visits] == [pytest.approx(power_w)]
    assert reasons(made) == ([(2, reason)] if reason else [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (row(connects="whenever"), f"skipped: connectionTime '{DAY}whenever' is not a time"),
        (
            row(done="2019-99-99 08:00"),
            "skipped: doneChargingTime '2019-99-99 08:00' is not a time",
        ),
        (row(disconnects="07:00:00"), "skipped: disconnectTime is not after connectionTime"),
        (row(kwh="lots"), "skipped: kWhDelivered 'lots' is not a number"),
        (row(kwh="nan"), "skipped: kWhDelivered 'nan' is not an energy"),
        (row(kwh="-1"), "skipped: kWhDelivered '-1' is not an energy"),
        (row(space=""), "skipped: spaceID is empty"),
        ("77,2-39-1", "skipped: connectionTime None is not a time"),
    ],
)
def test_an_unreadable_row_is_skipped_with_its_line(text: str, reason: str) -> None:
    made = plan(row(space="CA-9"), text)

    assert [visit.space for visit in made.visits] == ["CA-9"]
    assert reasons(made) == [(3, reason)]


def test_two_cars_on_one_space_make_the_earlier_leave() -> None:
    made = plan(row(connects="11:00:00", disconnects="15:00:00", done="14:00:00"), row())
    earlier, later = made.visits

    assert earlier.disconnects_ms == later.connects_ms == ms_from_iso("2019-10-10T11:00:00Z")
    assert reasons(made) == [(3, "ends early: space taken again")]


def test_two_cars_on_two_spaces_do_not_disturb_each_other() -> None:
    made = plan(row(), row(space="CA-2"), row(station="2-39-2"))

    assert len(made.visits) == 3
    assert made.notes == []


def test_of_two_cars_at_the_same_moment_one_is_skipped() -> None:
    made = plan(row(kwh="1"), row(kwh="2"))

    assert [visit.energy_wh for visit in made.visits] == [2000]
    assert reasons(made) == [(2, "skipped: same moment, space")]


def test_a_file_without_the_columns_is_refused() -> None:
    with pytest.raises(ReplayError, match="missing columns: spaceID, kWhDelivered"):
        plan_of([HEAD.replace("spaceID,", "").replace(",kWhDelivered", ""), row()])


@pytest.mark.parametrize("content", [None, b"", HEAD.encode(), b"\xff\xfe\x00garbage"])
def test_a_file_that_holds_nothing_to_play_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "visits.csv"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ReplayError, match="--replay"):
        read_plan(path)


def replay_file(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "visits.csv"
    path.write_text("\n".join([HEAD, *rows]), encoding="utf-8")
    return path


@asynchronous
async def test_a_plan_is_played_at_its_times_with_its_energies(tmp_path: Path) -> None:
    """An hour a second: three visits, one of them ended by the next on its space."""
    path = replay_file(
        tmp_path,
        row(disconnects="09:00:00", done="08:30:00", kwh="2"),
        row(connects="08:15:00", done="08:45:00", disconnects="08:50:00", kwh="1", space="CA-2"),
        row(connects="08:40:00", done="08:55:00", disconnects="09:10:00", kwh="0.5"),
        row(kwh="much"),
    )
    async with listening(replay=path, time_factor=3600.0, report_interval_s=60.0) as (hook, bench):
        ended = await hook.wait_for(3, "session.ended")
        stations = (await bench.api("chargestations")).result
        notes = (await bench.sim("ledger"))["notes"]

        assert [station["endpoint"] for station in stations] == ["2-39-1"]
        assert [connector["power"] for connector in stations[0]["connectors"]] == [6.66, 6.66]
        taken_wh = sorted(event["data"]["metrics"]["energyConsumed"] for event in ended)
        assert taken_wh == [500, 1000, 2000]
        assert [(note["line"], note["reason"].split(":")[0]) for note in notes] == [
            (5, "skipped"),
            (2, "ends early"),
        ]


@asynchronous
async def test_a_replay_begun_in_the_middle_resumes_who_is_there(tmp_path: Path) -> None:
    path = replay_file(tmp_path, row(), row(connects="13:00:00", disconnects="15:00:00", done=""))
    from_ms = ms_from_iso("2019-10-10T09:00:00Z")
    async with running(replay=path, replay_from_ms=from_ms, time_factor=1.0) as bench:
        (session,) = (await bench.api("sessions")).result

        assert session["status"] == "Started"
        assert session["metrics"]["energyConsumed"] == 4000  # half of its 8 kWh, an hour in
        assert session["energy_report"]["power"]["value"] == pytest.approx(4, rel=0.011)


@asynchronous
async def test_a_replayed_car_obeys_a_limit_and_takes_less(tmp_path: Path) -> None:
    path = replay_file(tmp_path, row(done="08:30:00", disconnects="08:45:00", kwh="3"))
    async with listening(replay=path, time_factor=3600.0, report_interval_s=60.0) as (hook, bench):
        (started,) = await hook.wait_for(1, "session.started")
        assert (await bench.set(started["data"]["_id"], "current", 6)).status == 200
        (ended,) = await hook.wait_for(1, "session.ended")

        assert 900 < ended["data"]["metrics"]["energyConsumed"] < 1600  # 6 A for most of 45 min


def test_the_seconds_of_a_replay_do_not_drift(tmp_path: Path) -> None:
    rows = [
        row(connects=f"08:{n:02}:00", done=f"08:{n:02}:30", disconnects=f"08:{n:02}:40", kwh="0.01")
        for n in range(40)
    ]

    async def play() -> None:
        path = replay_file(tmp_path, *rows)
        async with running(replay=path, time_factor=3600.0, report_interval_s=600.0) as bench:
            await asyncio.sleep(0.5)
            state = await bench.sim("state")
            expected = state["simulated_s"] / 60 + 1
            assert abs(state["sessions"]["total"] - expected) <= 1.5

    asyncio.run(play())
