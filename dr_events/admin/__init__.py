"""Demand response in the admin.

`events`, `participations`, `opted_out`, `exports` and `capacities` are the pages that are read;
`sessions` adds the events to a session's page, `capacities` and `performance` what a site may
import and how it has done. `standing`, `live` and `reasons` are what an event's page says, and what
moves on it.

`operations`, `orders`, `steering` and `leaving` are the deeds: a form (`forms` and `form_rows`,
together `order_sheets`; `form_errors`, `suggestions`, `presets`, `places`) with what it would do
beside it (`previews`), a page that says what will happen (`consequences`, in the `words`,
`headlines` and `terms` of people), then `intake`, `retrying` or `opt_outs`; or, where
a second person is needed, `approving`.
"""

from dr_events.admin import (
    approving,
    capacities,
    events,
    exports,
    opted_out,
    participations,
    performance,
    sessions,
)

__all__ = [
    "approving",
    "capacities",
    "events",
    "exports",
    "opted_out",
    "participations",
    "performance",
    "sessions",
]
