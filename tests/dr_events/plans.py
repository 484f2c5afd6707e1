"""Orders and cars for the planner, made in a line each."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from chargers.electricity import BelowMinimum, Circuit, Limit, Unit
from dr_events.demand import Metering
from dr_events.orders import Cap, Car, Each, Grip, Order, Part, Rules
from dr_events.planner import plan

T0 = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)
THREE_PHASES = Circuit(230, 3, 32)
ONE_PHASE = Circuit(230, 1, 32)
DC = Circuit(230, 3, 220, is_dc=True)

ids = {name: uuid.UUID(int=number) for number, name in enumerate("ABCDEFGH", start=1)}
circuits = st.builds(
    Circuit, st.sampled_from([208.0, 230.0, 240.0]), st.integers(1, 3), st.just(32.0), st.booleans()
)


def after(seconds):
    return T0 + timedelta(seconds=seconds)


def order(
    name, watts=None, *, ask=None, priority=None, minute=0, below=BelowMinimum.PAUSE,
    unit=Unit.POWER, pace=None,
):  # fmt: skip
    """So many watts for each session, or what `ask` says."""
    ask = ask if watts is None else Each(Limit(unit, watts))
    return Order(ids[name], name, priority, T0 + timedelta(minutes=minute), ask, below, pace)


def cap(watts, *, a_site=False):
    return Cap(watts, a_site)


def car(number, *names, circuit=THREE_PHASES, power_w=None, site=1, grip=None, metering=None,
        exempt="", before_w=None, excused="", hold=None):  # fmt: skip
    """A car that takes part in these events."""
    parts = tuple(Part(ids[name], before_w, excused, hold) for name in names)
    metering = metering or Metering(power_w, T0 if power_w is not None else None)
    return Car(number, circuit, metering, parts, exempt, site, grip or Grip())


def held(watts, *, since_s=-3600, running_since_s=None, **fields):
    """Held to so many watts, confirmed, since then."""
    running = None
    if watts:
        running = after(since_s if running_since_s is None else running_since_s)
    return Grip(
        **{
            "wanted": Limit(Unit.POWER, watts),
            "wanted_at": after(since_s),
            "running_since": running,
            "held_w": float(watts),
            "is_loose": False,
            **fields,
        }
    )


def uses(watts, *, limit_w=None, since_s=-3600):
    """Metered now at so many watts, under a limit that has held since then."""
    return Metering(watts, T0, limit_w, after(since_s))


def plan_all(orders, cars, *, at_s=0, capacities=None, rules=None):
    """Everything that the planner says."""
    running = {one.event_id: one for one in orders}
    return plan(running, cars, now=after(at_s), capacities=capacities or {}, rules=rules or Rules())


def watts(orders, cars, **more):
    """What each car is to be held to, W; None for no limit."""
    plans = plan_all(orders, cars, **more).plans
    return [
        None if one.limit is None else car.circuit.watts(one.limit)
        for one, car in zip(plans, cars, strict=True)
    ]


def planned(*orders, circuit=THREE_PHASES, power_w=11_000.0, names=None, exempt=""):
    """The plan of one car that takes part in all of these orders, or those named."""
    names = [one.label for one in orders] if names is None else names
    one = car(1, *names, circuit=circuit, power_w=power_w, exempt=exempt)
    return plan_all(orders, [one]).plans[0]
