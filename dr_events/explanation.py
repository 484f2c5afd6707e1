"""Why is this session at this limit? The planner's own answer, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from chargers.electricity import Circuit, Limit, plain_number
from chargers.models import Session
from chargers.numerals import numeral
from chargers.wording import amperes_text, limit_text, watts_text
from dr_events import facts, planner, pools, rulings
from dr_events.orders import Capacity, Car, Each, EventId, Order, Percent, SiteId
from dr_events.planner import CapState, Plan, Planned
from dr_events.rulings import Ruling

EXCUSES = {
    "exempt_session": "it is exempt.",
    "exempt_chargestation": "its chargestation is exempt.",
    "exempt_site": "its site is exempt.",
}
WAITS = {
    "turn": "There are not 6 A for everyone: it waits for its turn.",
    "room": "It gets more as soon as others are confirmed to have less.",
    "pace": "Power comes back as a slope: its step is still to come.",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """`plan` is the planner's; None where no planning was needed to know. `caps` are those that
    it shares, by name."""

    plan: Plan | None
    text: str
    caps: tuple[tuple[str, CapState], ...] = ()

    def as_json(self) -> dict[str, object]:
        plan = self.plan
        return {
            "event": plan.binding if plan else None,
            "limit": plan.limit.as_json() if plan and plan.limit else None,
            "explanation": self.text,
            "runners_up": [_ruling_json(one) for one in (plan.runners_up if plan else ())],
            "caps": [
                {
                    "name": name,
                    "cap_w": plain_number(state.cap_w),
                    "sessions": state.cars,
                    "paused": state.paused,
                    "allowed_w": state.allowed_w,
                    "cannot_hold_w": state.free_w,
                }
                for name, state in self.caps
            ],
        }


def _ruling_json(ruling: Ruling) -> dict[str, object]:
    return {"event": ruling.event_id, "limit": ruling.limit.as_json()}


def explain(session: Session, *, now: datetime) -> Explanation:
    """The plan of this session as it stands, and why it is so."""
    if not session.is_open:
        return Explanation(None, "The session has ended; its limits ended with it.")
    together = pools.widened([session.id])
    parts = facts.parts_of(together)
    cars = {
        found.session_id: found.car(parts.get(found.session_id, ()))
        for found in facts.of_sessions(together, now=now)
    }
    orders, capacities = facts.orders(now=now), facts.capacities(now=now)
    planned = planner.plan(
        orders, list(cars.values()), now=now, capacities=capacities, rules=facts.rules()
    )
    plan = next(plan for plan in planned.plans if plan.session_id == session.id)
    car = cars[session.id]
    if plan.limit is None:
        return Explanation(plan, _why_not(session, car, orders))
    caps = _caps_of(car, planned, orders, capacities)
    return Explanation(plan, _why(plan, car, planned, orders, capacities), caps)


def _why_not(session: Session, car: Car, orders: Mapping[EventId, Order]) -> str:
    lifting = " The limit it had is still being lifted." if session.may_be_limited else ""
    if car.exempt_reason:
        return f"No event limits it: {EXCUSES[car.exempt_reason]}{lifting}"
    excused = [part.excused for part in car.parts if part.excused]
    if excused:
        how = "it has opted out" if "opted_out" in excused else "an operator has exempted it"
        return f"No event limits it: {how}.{lifting}"
    for part in car.parts:
        if part.event_id in orders:
            label = orders[part.event_id].label
            return f"{label} orders nothing right now: it is between two steps.{lifting}"
    return f"No running event aims at it.{lifting}"


def _why(
    plan: Plan,
    car: Car,
    planned: Planned,
    orders: Mapping[EventId, Order],
    capacities: Mapping[SiteId, Capacity],
) -> str:
    assert plan.limit is not None
    order = orders.get(plan.binding) if plan.binding else None
    hold = next((part.hold for part in car.parts if part.event_id == plan.binding), None)
    is_slow = plan.waits == "pace"
    if order and hold:
        sentences = [f"{order.label} is over and gives power back step by step."]
    elif plan.cap:
        label = order.label if order else capacities[car.site_id].label
        sentences = _shared(label, order, planned.caps[plan.cap], plan.limit, car.circuit)
    else:
        assert order is not None
        # Who waits for his step still has the limit before it.
        ruled = rulings.asked_of(orders, car).binding if is_slow else None
        sentences = _asked(order, ruled.limit if ruled else plan.limit, car)
    if plan.waits:
        sentences.append(WAITS[plan.waits])
    if is_slow:
        stays = "is paused" if plan.limit.is_pause else f"stays at {limit_text(plan.limit)}"
        sentences.append(f"Until then it {stays}.")
    if plan.runners_up:
        others = len(plan.runners_up)
        more = "s" if others > 1 else ""
        sentences.append(f"{others} other event{more} would allow more, or counts less.")
    return " ".join(sentences)


def _asked(order: Order, limit: Limit, car: Car) -> list[str]:
    match order.ask:
        case Percent(percent):
            before_w = next(p.before_w for p in car.parts if p.event_id == order.event_id)
            drew = "nothing that was metered" if before_w is None else watts_text(before_w)
            asked_for = f"{numeral(percent, 'g')} % of what it drew when it came in, {drew}"
            held = f"{limit_text(limit)}{_conversion(limit, car.circuit)}"
            return [f"{_named(order)} asks for {asked_for}: {held}."]
        case Each(asked):
            said = [f"{_named(order)} asks for {asked}{_conversion(asked, car.circuit)}."]
            if limit != asked:
                said.append(f"AC cannot be held below 6 A, so it is {limit_text(limit)}.")
            return said
        case _:
            return [f"{_named(order)} holds it to {limit_text(limit)}."]


def _shared(
    label: str, order: Order | None, state: CapState, limit: Limit, circuit: Circuit
) -> list[str]:
    name = _named(order) if order else label[0].upper() + label[1:]
    sessions = f"{numeral(state.cars)} session{'s' if state.cars > 1 else ''}"
    said = [f"{name} allows {watts_text(state.cap_w)} for {sessions} together."]
    if state.free_w:
        said.append(f"Those that cannot be held draw {watts_text(state.free_w)} of it.")
    if state.paused:
        said.append(f"{numeral(state.paused)} pause{'s' if state.paused == 1 else ''}.")
    if limit.is_pause:
        return [*said, "It is one of them." if state.paused else "It is paused."]
    return [*said, f"Its fair share is {limit_text(limit)}{_conversion(limit, circuit)}."]


def _caps_of(
    car: Car,
    planned: Planned,
    orders: Mapping[EventId, Order],
    capacities: Mapping[SiteId, Capacity],
) -> tuple[tuple[str, CapState], ...]:
    found = []
    for (event_id, site_id), state in planned.caps.items():
        if event_id is None:
            if site_id == car.site_id:
                found.append((capacities[site_id].label, state))
        elif any(part.event_id == event_id for part in car.parts) and site_id in (
            None,
            car.site_id,
        ):
            found.append((orders[event_id].label, state))
    return tuple(found)


def _named(order: Order) -> str:
    return f"{order.label} (priority {'none' if order.priority is None else order.priority})"


def _conversion(limit: Limit, circuit: Circuit) -> str:
    if circuit.is_dc or limit.is_pause:
        return ""
    volts = f"{plain_number(circuit.voltage_v)} V × {circuit.phases} phase"
    volts += "s" if circuit.phases > 1 else ""
    return (
        f": {amperes_text(circuit.amperes(limit))} at {volts}, {watts_text(circuit.watts(limit))}"
    )
