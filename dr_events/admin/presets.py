"""What is ordered often, one click away. Each fills in fields of the form, which stay editable."""

from __future__ import annotations

from typing import Any

from dr_events.amounts import Kind

EACH = Kind.PER_SESSION.value

# Label, and the fields it fills in. 4.2 kW is what German grid operators must leave a charger
# (EnWG § 14a); 6 A is the least that AC can be held to (IEC 61851-1).
LIMITS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("4.2 kW each", {"limit_kind": EACH, "limit_unit": "power", "limit_value": "4200"}),
    ("6 A each", {"limit_kind": EACH, "limit_unit": "current", "limit_value": "6"}),
    ("16 A each", {"limit_kind": EACH, "limit_unit": "current", "limit_value": "16"}),
    ("half of each", {"limit_kind": Kind.PERCENT.value, "limit_value": "50"}),
    ("pause", {"limit_kind": EACH, "limit_unit": "power", "limit_value": "0"}),
)
DURATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("15 min", {"end": "for", "duration": "PT15M"}),
    ("30 min", {"end": "for", "duration": "PT30M"}),
    ("45 min", {"end": "for", "duration": "PT45M"}),
    ("1 h", {"end": "for", "duration": "PT1H"}),
    ("2 h", {"end": "for", "duration": "PT2H"}),
)
