"""Why is this session at this limit? The planner's own answer, in words."""

from __future__ import annotations

from dataclasses import dataclass

from chargers.electricity import Circuit, Limit, plain_number
from chargers.models import Session
from dr_events import facts, planner
from dr_events.planner import Order, Plan


@dataclass(frozen=True, slots=True)
class Explanation:
    """`plan` is the planner's; None where no planning was needed to know."""

    plan: Plan | None
    text: str

    def as_json(self) -> dict[str, object]:
        plan = self.plan
        return {
            "event": plan.binding if plan else None,
            "limit": plan.limit.as_json() if plan and plan.limit else None,
            "explanation": self.text,
            "runners_up": [
                {"event": ruling.event_id, "limit": ruling.limit.as_json()}
                for ruling in (plan.runners_up if plan else ())
            ],
        }


def explain(session: Session) -> Explanation:
    """The plan of this session as it stands, and why it is so."""
    if not session.is_open:
        return Explanation(None, "The session has ended; its limits ended with it.")
    orders = facts.orders()
    known = facts.of_sessions([session.id])[0]
    car = known.car(facts.memberships([session.id]).get(session.id, ()))
    if car.exempt_reason:
        return Explanation(None, f"No event limits it: {car.exempt_reason.replace('_', ' ')}.")
    plan = planner.plan(orders, [car])[0]
    if plan.binding is None or plan.limit is None:
        lifting = " The limit it had is still being lifted." if session.may_be_limited else ""
        return Explanation(plan, f"No running event aims at it.{lifting}")
    return Explanation(plan, _arithmetic(orders[plan.binding], plan, car.circuit))


def _arithmetic(order: Order, plan: Plan, circuit: Circuit) -> str:
    assert plan.limit is not None
    asked = f"{order.limit}{_conversion(order.limit, circuit)}"
    sentences = [f"{order.label} (priority {_shown(order.priority)}) asks for {asked}."]
    if plan.limit != order.limit:
        sentences.append(f"AC cannot be held below 6 A, so it is {plan.limit}.")
    if plan.runners_up:
        others = len(plan.runners_up)
        more = "s" if others > 1 else ""
        sentences.append(f"{others} other event{more} would allow more, or counts less.")
    return " ".join(sentences)


def _conversion(limit: Limit, circuit: Circuit) -> str:
    if circuit.is_dc or limit.is_pause:
        return ""
    volts = f"{plain_number(circuit.voltage_v)} V × {circuit.phases} phase"
    volts += "s" if circuit.phases > 1 else ""
    return f": {circuit.amperes(limit):.1f} A at {volts}, {circuit.watts(limit):,.0f} W"


def _shown(priority: int | None) -> str:
    return "none" if priority is None else str(priority)
