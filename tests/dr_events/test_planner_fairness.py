"""The planner's shares against an optimum that is found by trying everything."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from chargers.electricity import Circuit
from tests.dr_events.planning import Cap, car, each, limits, order, planned

# Amounts are in hundreds of watts, so that everything can be tried: 6 A at 100 V are 600 W.
UNIT_W = 100
ROUNDING_W = 1.0


@st.composite
def fleets(draw, dc):
    """Few cars on small connectors, under a cap for all, one a site, and limits for each."""
    orders = [order("A", Cap(draw(st.integers(0, 30)) * UNIT_W))]
    if draw(st.booleans()):
        orders.append(order("B", Cap(draw(st.integers(0, 20)) * UNIT_W, a_site=True)))
    if draw(st.booleans()):
        orders.append(order("C", each(draw(st.integers(6, 12)) * UNIT_W)))
    capacity = draw(st.none() | st.integers(0, 20).map(lambda value: value * UNIT_W))
    cars = [
        car(
            number,
            draw(st.sampled_from(["A", "A", "AB", "AC", "ABC"])),
            circuit=Circuit(UNIT_W, 1, draw(st.integers(6, 12)), draw(dc)),
            draws=None,
            site=draw(st.integers(1, 2)),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    return orders, cars, capacity


def caps_over(one, orders, capacity):
    """The caps of a car, by name and site, with their room."""
    named = {ordered.event_id: ordered for ordered in orders}
    found = {}
    for part in one.parts:
        ask = named[part.event_id].ask if part.event_id in named else None
        if isinstance(ask, Cap):
            found[named[part.event_id].label, one.site_id if ask.a_site else 0] = ask.cap_w
    if capacity is not None and one.site_id == 1:
        found["capacity", 1] = capacity
    return found


def bounds(one, orders):
    """The least and the most that it can be held to, in units."""
    asked = [
        ordered.ask.limit.value
        for ordered in orders
        if not isinstance(ordered.ask, Cap)
        and ordered.event_id in {part.event_id for part in one.parts}
    ]
    most_w = min([one.full_w, *asked])
    return (0 if one.circuit.is_dc else 6), int(most_w / UNIT_W)


def fits(cars, shares, orders, capacity):
    used, room = {}, {}
    for one, share in zip(cars, shares, strict=True):
        for cap, cap_w in caps_over(one, orders, capacity).items():
            used[cap], room[cap] = used.get(cap, 0.0) + share, cap_w
    return all(used[cap] <= room[cap] + 1e-6 for cap in used)


def is_better(shares, others):
    """Whether the worst off is better off in the first or, where they are level, the next."""
    for mine, theirs in zip(sorted(shares), sorted(others), strict=True):
        if abs(mine - theirs) > ROUNDING_W:
            return mine > theirs
    return False


@given(fleets(dc=st.booleans()))
def test_no_other_sharing_among_those_who_have_something_is_fairer(fleet):
    orders, cars, capacity = fleet
    shares = limits(planned(orders, cars, capacity=capacity))

    assert fits(cars, shares, orders, capacity)
    on = [one for one, share in zip(cars, shares, strict=True) if share]
    mine = [share for share in shares if share]
    grids = [range(low, high + 1) for low, high in (bounds(one, orders) for one in on)]
    for tried in product(*grids):
        other = [units * UNIT_W for units in tried]
        assert not (is_better(other, mine) and fits(on, other, orders, capacity)), other


@given(fleets(dc=st.just(False)))
def test_nobody_is_paused_who_would_fit_in_his_turn(fleet):
    """The queue here is that of their numbers. Who is paused does not fit beside those before him
    who run, or waits for one before him."""
    orders, cars, capacity = fleet
    shares = limits(planned(orders, cars, capacity=capacity))

    floors = [600.0 if share else 0.0 for share in shares]
    for number, share in enumerate(shares):
        if not share:
            beside = [*floors[:number], 600.0]
            fits_beside = fits(cars[: number + 1], beside, orders, capacity)
            assert not fits_beside or not all(shares[:number])
