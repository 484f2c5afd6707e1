"""The fleet and its records in the admin. `pages` and `parts` are what all of it is made of."""

from chargers.admin import fleet, records, sessions, trail

__all__ = ["fleet", "records", "sessions", "trail"]
