"""What the hash chain costs the burst: `uv run python -m tests.benchmarks.audit_chain`.

Declares over 5,000 sessions, claims and settles every command in the dispatcher's batches, as a
burst does without its network; with the chain and without it, in turns. Prints the ratio of the
two medians. Uses servers of its own and throws them away.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from tests.benchmarks.servers import own_servers

SESSIONS, A_STATION, BATCH, ROUNDS = 5_000, 20, 250, 12


def main() -> None:
    with own_servers():
        measure()


def measure() -> None:
    from django.core.management import call_command

    took: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(2 * ROUNDS):
        which = ("with", "without")[(number + number // 2) % 2]
        call_command("flush", interactive=False, verbosity=0)
        seed()
        analyze()
        with chained() if which == "with" else unchained():
            start = time.perf_counter()
            burst()
            took[which].append(time.perf_counter() - start)
        print(f"{which:8} {took[which][-1]:6.2f} s", flush=True)
    with_, without = (statistics.median(took[which]) for which in ("with", "without"))
    print(f"{SESSIONS:,} sessions: {with_:.2f} s with the chain, {without:.2f} s without: "
          f"{with_ / without:.3f}×")  # fmt: skip


def analyze() -> None:
    """What autovacuum does in life, where tables do not grow from nothing in a second."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def seed() -> None:
    from django.db import connection

    from tests.fleet import make_connector, make_site, make_station

    for number in range(SESSIONS // A_STATION):
        connector = make_connector(make_station(make_site()))
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO chargers_session (external_id, chargestation_id, connector_id, status,"
                " started_at, heard_at, exempt, exempt_reason, power_w, wanted_cause)"
                " SELECT %s || n, %s, %s, 'started', now(), now(), FALSE, '', 11000, ''"
                "   FROM generate_series(1, %s) AS n",
                [f"s{number}-", connector.chargestation_id, connector.pk, A_STATION],
            )


def burst() -> None:
    from chargers import claims, settlement, sql
    from chargers.retries import after_taken
    from chargers.settlement import Answer, Move
    from tests.dr_events import story
    from tests.fleet import action, later

    story.declare(limit={"kind": "per_session", "unit": "power", "value": 4200})
    analyze()
    while claimed := claims.claim(
        BATCH, endpoint=story.ENDPOINT, now=later(1), lease_until=later(11)
    ):
        attempts = [one.attempt_id for one in claimed]
        sql.run(_TAKEN, {"attempts": attempts, "now": later(1)})
        taken = after_taken(deadline_s=60)
        settlement.advance([Move(one.command_id, one.number, taken) for one in claimed],
                           now=later(1))  # fmt: skip
        answers = [Answer(id_, action(f"action-{id_}", "completed")) for id_ in attempts]
        settlement.settle(answers, now=later(2))


_TAKEN = """
    UPDATE chargers_attempt
       SET outcome = 'requested', action_id = 'action-' || id, sent_at = %(now)s
     WHERE id = ANY(%(attempts)s)
"""


@contextmanager
def chained() -> Iterator[None]:
    yield


@contextmanager
def unchained() -> Iterator[None]:
    """Neither digests nor links."""
    from django.db import connection

    from chargers import audit

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE chargers_auditentry DISABLE TRIGGER linked")
    try:
        with mock.patch.object(audit, "digest_of", return_value=bytes(32)):
            yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE chargers_auditentry ENABLE TRIGGER linked")


if __name__ == "__main__":
    main()
