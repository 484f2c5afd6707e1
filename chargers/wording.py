"""How things are written for people. A missing reading is a gap, never a zero."""

from __future__ import annotations

from datetime import datetime, tzinfo

from django.utils import timezone

from chargers.electricity import Limit, Unit, plain_number
from chargers.numerals import numeral

GAP = "–"
# How a formula begins.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


def number_of(count: int, one: str, many: str = "") -> str:
    """1 session, 12 sessions."""
    return f"{numeral(count)} {one if count == 1 else many or f'{one}s'}"


def limit_text(limit: Limit | None) -> str:
    """4,200 W, 16 A, pause (0); a gap for no limit."""
    if limit is None or limit.is_pause:
        return GAP if limit is None else str(limit)
    unit = "W" if limit.unit is Unit.POWER else "A"
    return f"{numeral(plain_number(limit.value))} {unit}"


def watts_text(power_w: float | None) -> str:
    """4,200 W."""
    return GAP if power_w is None else f"{numeral(power_w, ',.0f')} W"


def kilowatts_text(power_w: float | None) -> str:
    """4.2 kW."""
    return GAP if power_w is None else f"{numeral(power_w / 1000, ',.1f')} kW"


def amperes_text(current_a: float | None) -> str:
    """16.0 A."""
    return GAP if current_a is None else f"{numeral(current_a, ',.1f')} A"


def energy_text(energy_wh: float | None) -> str:
    """12.50 kWh."""
    return GAP if energy_wh is None else f"{numeral(energy_wh / 1000, ',.2f')} kWh"


def time_text(time: datetime | None, zone: tzinfo | None = None) -> str:
    """2026-07-01 17:00:05 CEST (+02:00): in the gateway's zone unless told another. UTC needs no
    offset beside it."""
    if time is None:
        return GAP
    return f"{timezone.localtime(time, zone):%Y-%m-%d} {clock_text(time, zone)}"


def clock_text(time: datetime, zone: tzinfo | None = None) -> str:
    """17:00:05 CEST (+02:00)."""
    local = timezone.localtime(time, zone)
    name, offset = f"{local:%Z}", local.isoformat()[-6:]
    if name in ("UTC", offset):
        return f"{local:%H:%M:%S} {name}"
    # Zones without letters of their own are named after their offset, such as +03.
    return f"{local:%H:%M:%S} {offset if name[:1] in '+-' else f'{name} ({offset})'}"


def words(code: str) -> str:
    """`station_offline` → station offline; a gap for nothing."""
    return code.replace("_", " ") or GAP


def spreadsheet_text(text: str) -> str:
    """A text for a CSV cell: one that a spreadsheet would take for a formula is marked as text
    (OWASP: CSV injection)."""
    return f"'{text}" if text.startswith(FORMULA_BEGINS) else text


def from_spreadsheet(text: str) -> str:
    """The text of a CSV cell, without that mark."""
    is_marked = text.startswith("'") and text.lstrip("'").startswith(FORMULA_BEGINS)
    return text[1:] if is_marked else text
