"""What the control surface shows of the world: its state, every limit, every energy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chargers.simulator.cars import Limit
from chargers.simulator.clock import iso, wall_ms
from chargers.simulator.model import Json, LimitChange, Session
from chargers.simulator.payloads import number
from chargers.simulator.world import World


def state(world: World) -> Json:
    """The fleet at a glance; powers are true powers now."""
    return {
        "now": iso(wall_ms()),
        "simulated_s": round(world.clock.sim_s(), 3),
        "time_factor": world.clock.time_factor,
        "seed": world.options.seed,
        "sites": len(world.sites),
        "stations": _stations(world),
        "connectors": {
            "total": len(world.connectors),
            "free": sum(connector.session is None for connector in world.connector_list),
        },
        "sessions": _sessions(world),
        "power_kw": round(sum(map(world.power_w, world.running_sessions())) / 1000, 3),
    }


def _stations(world: World) -> Json:
    stations = world.stations.values()
    online = sum(station.online for station in stations)
    by_kind = Counter(station.kind.value for station in stations)
    offline = len(stations) - online
    return {"total": len(stations), "online": online, "offline": offline, "by_kind": by_kind}


def _sessions(world: World) -> Json:
    by_status = Counter(session.status.value for session in world.session_list)
    limited = sum(session.limit is not None for session in world.running_sessions())
    return {"total": len(world.session_list), "by_status": by_status, "limited": limited}


def session_row(world: World, session: Session) -> Json:
    """One session: where it is, what holds it, what it takes."""
    outlet = session.connector.outlet
    return {
        "status": session.status.value,
        "chargestation": session.station.id,
        "connector": session.connector.id,
        "location": session.station.site.id,
        "station_kind": session.station.kind.value,
        "online": session.station.online,
        "phases": outlet.phases,
        "voltage_v": outlet.voltage_v,
        "max_current_a": outlet.max_current_a,
        "max_power_w": round(outlet.max_power_w),
        "limit": limit_json(session.limit),
        "set_at": iso(session.history[-1].at_ms) if session.limit else None,
        "action_id": session.limit_action_id,
        "ignores_limit": session.ignores_limit,
        "power_w": round(world.power_w(session), 1),
        "energy_wh": round(session.draw.energy_wh, 3),
    }


def limits(world: World, *, ended_too: bool) -> Json:
    """By session id; with `ended_too` every session ever, and the history of its limits."""
    if not ended_too:
        return {session.id: session_row(world, session) for session in _open(world)}
    return {
        session.id: {
            **session_row(world, session),
            "history": [_change(change) for change in session.history],
        }
        for session in world.session_list
    }


def energy(world: World, sessions: Iterable[Session], *, samples: bool) -> Json:
    """By session id: true energy and power; samples are `[at_ms, power_w, energy_wh]`."""
    return {session.id: _energy(world, session, samples) for session in sessions}


def _energy(world: World, session: Session, samples: bool) -> Json:
    row: Json = {
        "status": session.status.value,
        "power_w": round(world.power_w(session), 1),  # first: it brings the energy up to now
        "energy_wh": round(session.draw.energy_wh, 3),
        "drawing_s": round(session.draw.drawing_s, 3),
        "state_of_charge": round(session.draw.state_of_charge, 4),
    }
    if samples:
        row["samples"] = [
            [at_ms, round(power_w, 1), round(energy_wh, 2)]
            for at_ms, power_w, energy_wh in session.samples.rows()
        ]
    return row


def limit_json(limit: Limit | None) -> Json | None:
    return None if limit is None else {"unit": limit.unit, "limit": number(limit.value)}


def _change(change: LimitChange) -> Json:
    unit, value = (change.limit.unit, change.limit.value) if change.limit else (None, None)
    return {
        "at": iso(change.at_ms),
        "unit": unit,
        "limit": None if value is None else number(value),
        "action_id": change.action_id,
    }


def _open(world: World) -> list[Session]:
    return [session for session in world.session_list if session.open]
