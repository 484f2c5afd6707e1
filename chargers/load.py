"""What the grid's places draw: sampled by beat, so that pages need not read millions of readings.

A sample is taken once a SLOT, by whichever worker comes first. A reading older than
EDRV_WEBHOOK_SILENCE_S counts as missing. A place without cars draws nothing; one whose cars are not
metered has a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from chargers import sql
from chargers.models import PlaceLoad

SLOT = timedelta(seconds=15)
KEPT = timedelta(days=2)
HISTORY = timedelta(minutes=30)
BUCKET = timedelta(seconds=30)
# A sum over fewer of the cars than this share is no sum over the place: it is shown as a gap.
ENOUGH_METERED = 0.8

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A zone, substation or feeder, by its `path` from the zone down (blank: not named): the
    newest sample, and HISTORY in buckets of BUCKET; None is a gap."""

    path: Path
    power_w: float | None
    cars: int
    metered: int
    limited: int
    history_w: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """All places, at the moment of the newest sample; None before the first one."""

    at: datetime | None
    places: tuple[Place, ...]


def slot_of(now: datetime, slot: timedelta = SLOT) -> datetime:
    """The beginning of the slot that `now` is in."""
    slot_s = slot.total_seconds()
    return datetime.fromtimestamp(now.timestamp() // slot_s * slot_s, UTC)


def oldest_reading(now: datetime) -> datetime:
    """From when on a reading still says what a car draws."""
    return now - timedelta(seconds=settings.EDRV_WEBHOOK_SILENCE_S)


def is_fresh(metered_at: datetime | None, *, now: datetime) -> bool:
    """Whether a reading of then says what a car draws now; if not, that is a gap."""
    return metered_at is not None and metered_at >= oldest_reading(now)


def fresh(*, now: datetime) -> Q:
    """The same, of sessions in a query."""
    return Q(metered_at__gte=oldest_reading(now))


def sample(*, now: datetime) -> None:
    """Take this slot's sample, unless it is taken, and forget what is older than KEPT."""
    at = slot_of(now)
    if PlaceLoad.objects.filter(at=at).exists():
        return
    sql.run(_SAMPLE, {"at": at, "since": oldest_reading(now)})
    PlaceLoad.objects.filter(at__lt=now - KEPT).delete()


def now_and_before(*, now: datetime) -> Load:
    """The newest sample of every place and HISTORY before it. Samples never change, so what this
    process has read once it reads again only after the next sample."""
    global _read  # noqa: PLW0603
    until = slot_of(now, BUCKET)
    newest_id = PlaceLoad.objects.order_by("-id").values_list("id", flat=True).first()
    if _read is None or _read[0] != (newest_id, until):
        _read = ((newest_id, until), _read_anew(until))
    return _read[1]


_read: tuple[tuple[int | None, datetime], Load] | None = None


def _read_anew(until: datetime) -> Load:
    since = until - HISTORY
    buckets = [since + BUCKET * number for number in range(HISTORY // BUCKET + 1)]
    parameters = {"since": since, "bucket": BUCKET, "enough": ENOUGH_METERED}
    histories = {_path(row): row for row in sql.rows(_HISTORY, parameters)}
    newest = sql.rows(_NEWEST, parameters)
    at = newest[0]["at"] if newest else None
    places = [
        Place(
            path=_path(row),
            power_w=row["power_w"],
            cars=row["cars"],
            metered=row["metered"],
            limited=row["limited"],
            history_w=_aligned(histories.get(_path(row)), buckets),
        )
        for row in newest
    ]
    return Load(at, tuple(sorted(places, key=lambda place: place.path)))


def _path(row: dict[str, Any]) -> Path:
    """Of the names, those that the row is grouped by."""
    return (row["grid_zone"], row["substation"], row["feeder"])[: row["depth"]]


def _aligned(
    history: dict[str, Any] | None, buckets: Sequence[datetime]
) -> tuple[float | None, ...]:
    found = dict(zip(history["buckets"], history["powers"], strict=True)) if history else {}
    return tuple(found.get(bucket) for bucket in buckets)


_SAMPLE = """
    INSERT INTO chargers_placeload
           (at, grid_zone, substation, feeder, power_w, cars, metered, limited)
    SELECT %(at)s, site.grid_zone, site.substation, site.feeder,
           CASE WHEN sum(car.cars) IS NULL THEN 0 ELSE sum(car.power_w) END,
           COALESCE(sum(car.cars), 0), COALESCE(sum(car.metered), 0),
           COALESCE(sum(car.limited), 0)
      FROM chargers_site AS site
      LEFT JOIN (
           SELECT station.site_id, count(*) AS cars,
                  sum(session.power_w) FILTER (WHERE session.metered_at >= %(since)s) AS power_w,
                  count(session.power_w) FILTER (WHERE session.metered_at >= %(since)s)
                      AS metered,
                  count(*) FILTER (WHERE session.may_be_limited) AS limited
             FROM chargers_session AS session
             JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
            WHERE session.ended_at IS NULL AND session.status = 'started'
            GROUP BY station.site_id) AS car ON car.site_id = site.id
     GROUP BY site.grid_zone, site.substation, site.feeder
        ON CONFLICT DO NOTHING
"""

# Sums of a node of the grid are of its places; 3 - how many names are left out is its depth.
_DEPTH = """
    CASE GROUPING(grid_zone, substation, feeder)
         WHEN 0 THEN 3 WHEN 1 THEN 2 WHEN 3 THEN 1 ELSE 0 END
"""
_SETS = """
    GROUPING SETS ((BUCKET), (grid_zone, BUCKET), (grid_zone, substation, BUCKET),
                   (grid_zone, substation, feeder, BUCKET))
"""

_NEWEST = f"""
    SELECT {_DEPTH} AS depth, at, grid_zone, substation, feeder,
           CASE WHEN sum(metered) >= %(enough)s * sum(cars) THEN sum(power_w) END AS power_w,
           sum(cars)::int AS cars, sum(metered)::int AS metered, sum(limited)::int AS limited
      FROM chargers_placeload
     WHERE at = (SELECT max(at) FROM chargers_placeload WHERE at >= %(since)s)
     GROUP BY {_SETS.replace("BUCKET", "at")}
"""

_HISTORY = f"""
    WITH place AS (
        SELECT grid_zone, substation, feeder, date_bin(%(bucket)s, at, %(since)s) AS bucket,
               avg(power_w) AS power_w, avg(cars) AS cars, avg(metered) AS metered
          FROM chargers_placeload WHERE at >= %(since)s GROUP BY 1, 2, 3, 4),
    node AS (
        SELECT {_DEPTH} AS depth, grid_zone, substation, feeder, bucket,
               CASE WHEN sum(metered) >= %(enough)s * sum(cars) THEN sum(power_w) END AS power_w
          FROM place GROUP BY {_SETS.replace("BUCKET", "bucket")})
    SELECT depth, grid_zone, substation, feeder,
           array_agg(bucket ORDER BY bucket) AS buckets,
           array_agg(power_w ORDER BY bucket) AS powers
      FROM node GROUP BY 1, 2, 3, 4
"""
