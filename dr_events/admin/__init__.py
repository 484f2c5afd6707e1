"""Demand response in the admin.

`events` and `participations` are the pages that are read, `sessions` adds the events to a
session's page. `operations` and `orders` are the deeds: a form (`forms`, `form_errors`,
`suggestions`), a page that says what will happen (`consequences`, in the `words` and `terms` of
people), then `intake`.
"""

from dr_events.admin import events, participations, sessions

__all__ = ["events", "participations", "sessions"]
