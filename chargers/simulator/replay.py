"""Real charging sessions from a CSV file, turned into a plan: pure parsing, nothing is played here.

Columns: Charging_Id, stationID, spaceID, connectionTime, doneChargingTime, disconnectTime,
kWhDelivered (the form of ACN-Data exports). Times without a zone are UTC. No odd row stops a
replay: what can be played is, and every oddity becomes a note.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from chargers.simulator.cars import FLOOR_A
from chargers.simulator.clock import ms_from_iso

COLUMNS = (
    "Charging_Id",
    "stationID",
    "spaceID",
    "connectionTime",
    "doneChargingTime",
    "disconnectTime",
    "kWhDelivered",
)
VOLTAGE_V = 208.0
MAX_CURRENT_A = 32.0


class ReplayError(ValueError):
    """The file cannot be replayed at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One car on one space. `power_w` delivers `energy_wh` by the time the row was done."""

    line: int
    charging_id: str
    station: str
    space: str
    connects_ms: int
    disconnects_ms: int
    energy_wh: float
    power_w: float

    @property
    def place(self) -> tuple[str, str]:
        return self.station, self.space


@dataclass(frozen=True, slots=True)
class Note:
    """Why a row was not played as written."""

    line: int
    charging_id: str
    reason: str


@dataclass(slots=True)
class Plan:
    """Visits in the order of their connection, every (stationID, spaceID), and what was odd."""

    places: list[tuple[str, str]] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def read_plan(path: Path, *, voltage_v: float = VOLTAGE_V, from_ms: int | None = None) -> Plan:
    """The plan of a file, from its first row or from an instant; ReplayError without file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            plan = plan_of(lines, voltage_v=voltage_v)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReplayError(f"--replay {path}: {error}") from error
    if from_ms is not None:
        plan.visits = [visit for visit in plan.visits if visit.disconnects_ms > from_ms]
    if not plan.visits:
        raise ReplayError(f"--replay {path}: no row can be played")
    return plan


def plan_of(lines: Iterable[str], *, voltage_v: float = VOLTAGE_V) -> Plan:
    reader = csv.DictReader(lines)
    present = reader.fieldnames or ()
    missing = [column for column in COLUMNS if column not in present]
    if missing:
        raise ReplayError(f"--replay: missing columns: {', '.join(missing)}")
    plan = Plan()
    for row in reader:
        _plan_row(plan, row, reader.line_num, voltage_v)
    plan.places = sorted({visit.place for visit in plan.visits})
    plan.visits.sort(key=lambda visit: visit.connects_ms)
    plan.visits = list(_without_overlaps(plan))
    return plan


def _plan_row(plan: Plan, row: Mapping[str, str | None], line: int, voltage_v: float) -> None:
    charging_id = row["Charging_Id"] or ""
    try:
        visit, oddities = _visit(row, line, charging_id, voltage_v)
    except ValueError as error:
        plan.notes.append(Note(line, charging_id, f"skipped: {error}"))
        return
    plan.visits.append(visit)
    plan.notes += [Note(line, charging_id, oddity) for oddity in oddities]


def _visit(
    row: Mapping[str, str | None], line: int, charging_id: str, voltage_v: float
) -> tuple[Visit, list[str]]:
    connects_ms = _time(row, "connectionTime")
    disconnects_ms = _time(row, "disconnectTime")
    if disconnects_ms <= connects_ms:
        raise ValueError("disconnectTime is not after connectionTime")
    done_ms = _time(row, "doneChargingTime") if row["doneChargingTime"] else None
    energy_wh = _energy_wh(row)
    power_w, oddities = _power_w(
        energy_wh, connects_ms, done_ms, disconnects_ms, voltage_v=voltage_v
    )
    station, space = _text(row, "stationID"), _text(row, "spaceID")
    visit = Visit(
        line, charging_id, station, space, connects_ms, disconnects_ms, energy_wh, power_w
    )
    return visit, oddities


def _power_w(
    energy_wh: float,
    connects_ms: int,
    done_ms: int | None,
    disconnects_ms: int,
    *,
    voltage_v: float,
) -> tuple[float, list[str]]:
    """Power of a visit in W, and what was odd about its row."""
    max_w = voltage_v * MAX_CURRENT_A
    if energy_wh <= 0:
        return 0.0, ["no energy: plugged in but idle"]
    if done_ms is None:
        return _steady_w(energy_wh, disconnects_ms - connects_ms, voltage_v), [
            "no doneChargingTime: charges until it disconnects"
        ]
    if done_ms <= connects_ms:
        return max_w, ["done before it connects: charges at full power"]
    power_w = _steady_w(energy_wh, done_ms - connects_ms, voltage_v)
    if power_w > max_w:
        return max_w, [f"needs {power_w / 1000:.2f} kW: charges at the connector's full power"]
    return power_w, []


def _steady_w(energy_wh: float, charging_ms: int, voltage_v: float) -> float:
    """An AC car takes no less than 6 A: a slower row is delivered before its time."""
    return max(energy_wh / (charging_ms / 3_600_000), FLOOR_A * voltage_v)


def _without_overlaps(plan: Plan) -> Iterator[Visit]:
    """Two cars on one space: the earlier one leaves when the later one arrives."""
    next_ms: dict[tuple[str, str], int] = {}
    kept: list[Visit] = []
    for visit in reversed(plan.visits):
        later_ms = next_ms.get(visit.place, visit.disconnects_ms)
        next_ms[visit.place] = visit.connects_ms
        if later_ms <= visit.connects_ms:
            plan.notes.append(Note(visit.line, visit.charging_id, "skipped: same moment, space"))
            continue
        if later_ms < visit.disconnects_ms:
            plan.notes.append(Note(visit.line, visit.charging_id, "ends early: space taken again"))
        kept.append(replace(visit, disconnects_ms=min(later_ms, visit.disconnects_ms)))
    return reversed(kept)


def _time(row: Mapping[str, str | None], column: str) -> int:
    try:
        return ms_from_iso((row[column] or "").strip())
    except ValueError:
        raise ValueError(f"{column} {row[column]!r} is not a time") from None


def _energy_wh(row: Mapping[str, str | None]) -> float:
    try:
        energy_wh = float(row["kWhDelivered"] or "") * 1000
    except ValueError:
        raise ValueError(f"kWhDelivered {row['kWhDelivered']!r} is not a number") from None
    if not 0 <= energy_wh < float("inf"):
        raise ValueError(f"kWhDelivered {row['kWhDelivered']!r} is not an energy")
    return energy_wh


def _text(row: Mapping[str, str | None], column: str) -> str:
    if not (text := (row[column] or "").strip()):
        raise ValueError(f"{column} is empty")
    return text
