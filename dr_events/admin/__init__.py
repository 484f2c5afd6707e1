"""Demand response in the admin.

`events`, `participations`, `opted_out`, `exports` and `capacities` are the pages that are read;
`sessions` adds the events to a session's page, `capacities` what a site may import to a site's.
`operations`, `orders` and `leaving` are the deeds: a form (`forms` and `form_rows`, together
`order_sheets`; `form_errors`, `suggestions`), a page that says what will happen (`consequences`, in
the `words` and `terms` of people), then `intake` or `opt_outs`.
"""

from dr_events.admin import capacities, events, exports, opted_out, participations, sessions

__all__ = ["capacities", "events", "exports", "opted_out", "participations", "sessions"]
