"""Max-min fair sharing, against an optimum that is found by trying everything."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dr_events.sharing import NOTHING, Claim, Share, admit, fill, used_w


def claim(key, least_w, most_w, *caps):
    return Claim(key, least_w, most_w, caps or (0,))


def shared(claims, room):
    return {key: share.watts for key, share in fill(claims, room).items()}


@pytest.mark.parametrize(
    ("claims", "room", "watts"),
    [
        # one cap: equal shares …
        ([claim(1, 0, 22), claim(2, 0, 22)], {0: 20}, [10, 10]),
        # … what one cannot take goes to the others …
        ([claim(1, 0, 4), claim(2, 0, 22), claim(3, 0, 22)], {0: 20}, [4, 8, 8]),
        # … a floor above the level stays, the others share the rest …
        ([claim(1, 12, 22), claim(2, 0, 22), claim(3, 0, 22)], {0: 20}, [12, 4, 4]),
        # … enough for everybody: nobody gets more than he can take.
        ([claim(1, 0, 4), claim(2, 0, 7)], {0: 20}, [4, 7]),
        # Two caps over one car: the tighter one holds it, the looser one's rest goes to others.
        ([claim(1, 0, 22, 0, 1), claim(2, 0, 22, 0), claim(3, 0, 22, 1)],
         {0: 20, 1: 8}, [4, 16, 4]),
        # A site (1) within an event (0), a car at each of two sites and one more at the first.
        ([claim(1, 0, 22, 0, 1), claim(2, 0, 22, 0, 1), claim(3, 0, 22, 0, 2)],
         {0: 30, 1: 8, 2: 40}, [4, 4, 22]),
        # No cap at all: all that it can take. No room at all: nothing.
        ([Claim(1, 0, 22, ())], {}, [22]),
        ([claim(1, 0, 22), claim(2, 0, 22)], {0: 0}, [0, 0]),
        # Floors that fill a cap to the last watt.
        ([claim(1, 6, 22), claim(2, 6, 22), claim(3, 0, 22)], {0: 12}, [6, 6, 0]),
    ],
)  # fmt: skip
def test_everyone_rises_with_the_water(claims, room, watts):
    assert list(dict(sorted(shared(claims, room).items())).values()) == pytest.approx(watts)


def test_a_share_names_the_cap_that_keeps_it_from_more():
    shares = fill([claim(1, 0, 4, 0), claim(2, 0, 22, 0, 1), claim(3, 0, 22, 0)], {0: 20, 1: 5})

    assert shares == {1: Share(4), 2: Share(5, 1), 3: Share(11, 0)}


@st.composite
def fleets(draw, most_cars=4, greatest_floor=4):
    """Claims whose floors fit under up to three caps that overlap in any way."""
    room = {cap: float(draw(st.integers(0, 16))) for cap in range(3)}
    queue = [
        Claim(
            key,
            float(floor),
            float(floor + draw(st.integers(0, 7))),
            tuple(draw(st.sets(st.sampled_from([0, 1, 2]), min_size=1))),
        )
        for key in range(draw(st.integers(1, most_cars)))
        for floor in [draw(st.integers(0, greatest_floor))]
    ]
    return admit(queue, room), room


def fits(claims, watts, room):
    used = used_w((one.caps, share) for one, share in zip(claims, watts, strict=True))
    return all(used[cap] <= room[cap] + 1e-6 for cap in used)


def is_better(one, other):
    """Whether the worst off is better off in the first or, where they are level, the next."""
    for mine, others in zip(sorted(one), sorted(other), strict=True):
        if abs(mine - others) > 1e-6:
            return mine > others
    return False


@settings(max_examples=300, deadline=None)
@given(fleets())
def test_no_other_sharing_is_fairer(fleet):
    claims, room = fleet
    shares = shared(claims, room)
    mine = [shares[one.key] for one in claims]

    assert fits(claims, mine, room)
    assert all(one.least_w <= share <= one.most_w for one, share in zip(claims, mine, strict=True))
    grids = (range(int(one.least_w), int(one.most_w) + 1) for one in claims)
    assert not any(fits(claims, x, room) and is_better(x, mine) for x in product(*grids))


def by_drops(claims, room, parts=60):
    """Everyone who stands lowest is given a drop more, until nobody can take one."""
    watts = {one.key: one.least_w * parts for one in claims}
    open_ = {one.key: one for one in claims}
    while open_:
        one = min(open_.values(), key=lambda one: watts[one.key])
        used = used_w((other.caps, watts[other.key]) for other in claims)
        is_full = any(used[cap] + 1 > room[cap] * parts for cap in one.caps)
        if is_full or watts[one.key] + 1 > one.most_w * parts:
            del open_[one.key]
        else:
            watts[one.key] += 1
    return {key: watt / parts for key, watt in watts.items()}


@settings(max_examples=100, deadline=None)
@given(fleets(most_cars=6))
def test_the_water_comes_as_high_as_drop_by_drop(fleet):
    claims, room = fleet

    assert shared(claims, room) == pytest.approx(by_drops(claims, room), abs=6 / 60)


@settings(max_examples=200)
@given(fleets(most_cars=9))
def test_who_has_less_than_he_could_take_stands_under_a_full_cap(fleet):
    claims, room = fleet
    shares = fill(claims, room)
    used = used_w((one.caps, shares[one.key].watts) for one in claims)

    for one in claims:
        share = shares[one.key]
        if share.watts < one.most_w - 1e-6:
            assert share.cap in one.caps
            assert used[share.cap] == pytest.approx(room[share.cap])


@pytest.mark.parametrize(
    ("queue", "room", "admitted"),
    [
        # in the order of the queue, as long as there is room
        ([claim(1, 4, 9), claim(2, 4, 9), claim(3, 4, 9)], {0: 9}, [1, 2]),
        # nobody overtakes: 3's floor would fit, but 2 is next
        ([claim(1, 4, 9), claim(2, 7, 9), claim(3, 2, 9)], {0: 9}, [1]),
        # whoever could never fit waits for nothing and stops nobody
        ([claim(1, 10, 11), claim(2, 4, 9)], {0: 9}, [2]),
        # who waits for one cap keeps nobody from another
        ([claim(1, 4, 9, 0), claim(2, 4, 9, 0, 1), claim(3, 4, 9, 1)], {0: 6, 1: 6}, [1, 3]),
        # who needs no floor is always in, who can take nothing never
        ([claim(1, 4, 9), claim(2, 7, 9), claim(3, 0, 9), claim(4, 0, 0)], {0: 9}, [1, 3]),
    ],
)
def test_nobody_overtakes(queue, room, admitted):
    assert [one.key for one in admit(queue, room)] == admitted


@pytest.mark.parametrize(
    ("queue", "admitted"),
    [
        # floors ahead of it in the queue leave it what they leave …
        ([Claim(1, 6, 9, (0,)), Claim(2, 0, 9, (0,), turn_w=2)], [1, 2]),
        # … those behind it leave it something.
        ([Claim(2, 0, 9, (0,), turn_w=2), Claim(1, 6, 9, (0,))], [2]),
    ],
)
def test_floors_do_not_leave_out_for_ever_who_needs_none(queue, admitted):
    assert [one.key for one in admit(queue, {0: 6})] == admitted


@given(fleets(most_cars=9, greatest_floor=9))
def test_the_floors_of_those_admitted_fit(fleet):
    claims, room = fleet

    assert fits(claims, [one.least_w for one in claims], room)


def test_nobody_gets_nothing_of_a_cap_that_is_overdrawn():
    assert admit([claim(1, 0, 9), claim(2, 4, 9)], {0: -1.0}) == []
    assert NOTHING.watts == 0
