"""plan(): from orders and sessions to the limit wanted of each, with its reason. Pure.

    priority 0   |        ████████████            B: 6 kW each
    priority 5   |   ████████████████████████     A: 4 kW each
    wanted       |   4 kW │   6 kW    │ 4 kW
                          ^ B binds: a higher priority wins, though its limit is higher
    priority 5   |             ░░░░░░░░░          C: 9 kW for three, among equals the strictest

An order asks for a limit of each session, or caps all of them together; a site's standing
capacity is a cap beside them that no priority overrides. `rulings` has what is asked of one
session, `allocation` how caps are shared. Preview and reality both call plan(), so they cannot
differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chargers.electricity import ROUNDING, Limit, Unit
from dr_events import allocation, demand, pacing, rulings
from dr_events.allocation import Allotment
from dr_events.claimants import Claimant
from dr_events.orders import Cap, Capacity, CapKey, Car, EventId, Order, Rules, SiteId
from dr_events.rulings import Asked, Ruling

DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session should be held to: None for no limit.

    `binding` is the event that decides, or None for a site's standing capacity or nobody; `cap`
    the cap that it has a share of; `runners_up` what other events would have asked of it,
    strictest first. It `waits` for its `turn`, for `room` or for its place on the slope (`pace`).
    """

    session_id: int
    limit: Limit | None
    binding: EventId | None = None
    runners_up: tuple[Ruling, ...] = field(default=())
    expected_relief_w: float = 0.0
    cause: str = ""
    cap: CapKey | None = None
    waits: str = ""


@dataclass(frozen=True, slots=True)
class CapState:
    """How a cap is used: by `cars` of which `paused` have nothing, with `allowed_w` for those
    that can be held and `free_w` for those that cannot."""

    cap_w: float
    cars: int = 0
    paused: int = 0
    allowed_w: float = 0.0
    free_w: float = 0.0

    @property
    def over_w(self) -> float:
        """By how much it cannot be kept, though everybody else is paused."""
        return max(0.0, self.free_w - self.cap_w)


@dataclass(frozen=True, slots=True)
class Planned:
    """One Plan a car, the state of each cap, how far each event's slope is used, and when to
    plan again though nothing happens."""

    plans: list[Plan]
    caps: dict[CapKey, CapState] = field(default_factory=dict)
    reached: dict[EventId, datetime] = field(default_factory=dict)
    again_at: datetime | None = None


def plan(
    orders: Mapping[EventId, Order],
    cars: Sequence[Car],
    *,
    now: datetime,
    capacities: Mapping[SiteId, Capacity] | None = None,
    rules: Rules = DEFAULT_RULES,
) -> Planned:
    """One Plan a car, in their order. All cars that stand under a cap must be among them. Events
    that are in no order do not count."""
    planning = _Planning(orders, capacities or {}, rules, now)
    asked = [planning.asked_of(car) for car in cars]
    claimants = [
        planning.claimant(car, said) for car, said in zip(cars, asked, strict=True) if said.counted
    ]
    room = [planning.cap_w(cap) for cap in planning.numbers]
    allotted = allocation.allocate(claimants, dict(enumerate(room)), rules=rules, now=now)
    plans = planning.plans(cars, asked, allotted.shares)
    states = _states(room, claimants, allotted.shares)
    caps = dict(zip(planning.numbers, states, strict=True))
    return _slowed(Planned(plans, caps, {}, allotted.again_at), cars, orders, now)


@dataclass(frozen=True, slots=True)
class _Planning:
    orders: Mapping[EventId, Order]
    capacities: Mapping[SiteId, Capacity]
    rules: Rules
    now: datetime
    numbers: dict[CapKey, int] = field(default_factory=dict)

    def asked_of(self, car: Car) -> Asked:
        asked = rulings.asked_of(self.orders, car)
        if car.site_id not in self.capacities:
            return asked
        standing = (None, car.site_id)
        caps = asked.caps if car.exempt_reason else (*asked.caps, standing)
        return replace(asked, caps=caps, counted=(*asked.counted, standing))

    def claimant(self, car: Car, asked: Asked) -> Claimant:
        binding = asked.binding
        full_w = car.full_w
        most_w = min(full_w, binding.limit_w) if binding else full_w
        least_w = min(rulings.least_w(car.circuit), most_w)
        return Claimant(
            key=car.session_id,
            car=car,
            rank=asked.rank,
            least_w=least_w,
            most_w=most_w,
            ceiling_w=self._ceiling_w(car, least_w, most_w) if asked.caps else most_w,
            caps=self._numbered(asked.caps),
            counted=self._numbered(asked.counted),
            turn_w=rulings.turn_w(car.circuit),
            free_w=None if asked.caps or binding else car.free_w,
        )

    def _ceiling_w(self, car: Car, least_w: float, most_w: float) -> float:
        return demand.ceiling_w(
            car.metering,
            has_w=car.wanted_w or 0.0,
            least_w=least_w,
            most_w=most_w,
            settling=self.rules.settling,
            now=self.now,
        )

    def _numbered(self, caps: Sequence[CapKey]) -> tuple[int, ...]:
        return tuple([self.numbers.setdefault(cap, len(self.numbers)) for cap in caps])

    def cap_w(self, cap: CapKey) -> float:
        event_id, site_id = cap
        if event_id is None:
            assert site_id is not None
            return self.capacities[site_id].capacity_w
        ask = self.orders[event_id].ask
        assert isinstance(ask, Cap)
        return ask.cap_w

    def plans(
        self, cars: Sequence[Car], asked: Sequence[Asked], shares: Mapping[int, Allotment]
    ) -> list[Plan]:
        named = list(self.numbers)
        return [
            self._plan_of(car, said, shares.get(car.session_id), named)
            for car, said in zip(cars, asked, strict=True)
        ]

    def _plan_of(
        self, car: Car, asked: Asked, share: Allotment | None, named: Sequence[CapKey]
    ) -> Plan:
        binding = asked.binding
        if share is None or not asked.caps:
            if binding is None:
                return Plan(car.session_id, None)
            return self._plan(car, asked, binding.limit, binding.event_id)
        if binding and share.watts >= binding.limit_w - ROUNDING:
            return self._plan(car, asked, binding.limit, binding.event_id)
        cap = asked.caps[0] if share.cap is None else named[share.cap]
        return self._plan(car, asked, _as_limit(share.watts, car), cap[0], cap, share.waits)

    def _plan(
        self,
        car: Car,
        asked: Asked,
        limit: Limit,
        binding: EventId | None,
        cap: CapKey | None = None,
        waits: str = "",
    ) -> Plan:
        order = self.orders.get(binding) if binding else None
        return Plan(
            session_id=car.session_id,
            limit=limit,
            binding=binding,
            runners_up=tuple([one for one in asked.rulings if one.event_id != binding]),
            expected_relief_w=rulings.relief_w(car.power_w, car.circuit.watts(limit)),
            cause=order.label if order else self.capacities[car.site_id].label,
            cap=cap,
            waits=waits,
        )


def _as_limit(watts: float, car: Car) -> Limit:
    """What it has already stays as it was said, in whichever unit."""
    wanted = car.grip.wanted
    if wanted is not None and -ROUNDING <= watts - car.circuit.watts(wanted) < 1:
        return wanted
    return Limit(Unit.POWER, math.floor(watts + ROUNDING))


def _states(
    room: Sequence[float], claimants: Sequence[Claimant], shares: Mapping[int, Allotment]
) -> list[CapState]:
    cars, paused = [0] * len(room), [0] * len(room)
    allowed_w, free_w = [0.0] * len(room), [0.0] * len(room)
    for one in claimants:
        for cap in one.counted:
            cars[cap] += 1
            if one.free_w is not None:
                free_w[cap] += one.free_w
            else:
                allowed_w[cap] += shares[one.key].watts
                paused[cap] += not shares[one.key].watts
    return [CapState(*state) for state in zip(room, cars, paused, allowed_w, free_w, strict=True)]


def _slowed(
    planned: Planned, cars: Sequence[Car], orders: Mapping[EventId, Order], now: datetime
) -> Planned:
    """A step upwards is a slope too: who is not due for it yet stays where it is."""
    rising: dict[EventId, list[tuple[Car, Plan]]] = {}
    for car, one in zip(cars, planned.plans, strict=True):
        if one.binding and orders[one.binding].pace and one.cap is None and _added_w(car, one) > 0:
            rising.setdefault(one.binding, []).append((car, one))
    if not rising:
        return planned
    held: dict[int, Limit] = {}
    again = [planned.again_at] if planned.again_at else []
    for event_id, climbers in rising.items():
        paced = _paced(orders[event_id], climbers, now)
        planned.reached[event_id] = paced.reached_at
        again += [paced.next_at] if paced.next_at else []
        due = set(paced.due)
        held |= {
            car.session_id: car.grip.wanted
            for car, _ in climbers
            if car.session_id not in due and car.grip.wanted
        }
    plans = [
        replace(one, limit=held[one.session_id], waits="pace") if one.session_id in held else one
        for one in planned.plans
    ]
    return replace(planned, plans=plans, again_at=min(again, default=None))


def _paced(order: Order, climbers: Sequence[tuple[Car, Plan]], now: datetime) -> pacing.Paced:
    assert order.pace is not None
    steps = [
        pacing.Step(
            car.session_id, _added_w(car, one), pacing.chance(order.event_id, car.session_id)
        )
        for car, one in climbers
    ]
    return pacing.paced(sorted(steps, key=lambda step: step.chance), order.pace, now=now)


def _added_w(car: Car, one: Plan) -> float:
    """What its new limit allows above the one it has; no limit yet is nothing to rise from."""
    if one.limit is None or car.wanted_w is None:
        return 0.0
    return min(car.circuit.watts(one.limit), car.full_w) - car.wanted_w
