"""GET below `/_sim/`: the state of the world and the pages of the ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from chargers.simulator import views
from chargers.simulator.assembly import Assembly
from chargers.simulator.control_calls import Call, Handler, found
from chargers.simulator.ledger import Delivery, Request
from chargers.simulator.model import Json

ENTRIES = 1000  # of a log in one answer, unless `limit` says otherwise


async def index(sim: Assembly, call: Call) -> Json:
    return {"get": [f"/_sim/{pattern}" for pattern in READS]}


async def health(sim: Assembly, call: Call) -> Json:
    return {"ok": True, "pid": os.getpid()}


async def state(sim: Assembly, call: Call) -> Json:
    return views.state(sim.world)


async def ledger(sim: Assembly, call: Call) -> Json:
    return {**sim.ledger.summary(), **await endpoint(sim, call)}


async def requests(sim: Assembly, call: Call) -> Json:
    log = sim.ledger.requests
    return _entries(log.since(call.whole("since", 0), call.whole("limit", ENTRIES)), log.count)


async def webhooks(sim: Assembly, call: Call) -> Json:
    log = sim.ledger.webhooks
    return _entries(log.since(call.whole("since", 0), call.whole("limit", ENTRIES)), log.count)


async def limits(sim: Assembly, call: Call) -> Json:
    return {"sessions": views.limits(sim.world, ended_too=call.flag("all", False))}


async def energy(sim: Assembly, call: Call) -> Json:
    sessions = sim.world.session_list
    if "session" in call.query:
        sessions = [found(sim.world.sessions, call.query["session"], "session")]
    return {"sessions": views.energy(sim.world, sessions, samples=call.flag("samples", True))}


async def faults(sim: Assembly, call: Call) -> Json:
    return {"faults": [fault.as_json() for fault in sim.faults]}


async def endpoint(sim: Assembly, call: Call) -> Json:
    return {"endpoint": sim.senders.endpoint.as_json() if sim.senders.endpoint else None}


def _entries(entries: Sequence[Request | Delivery], count: int) -> Json:
    """`next` is the `since` of the following page; it equals `count` at the end."""
    rows = [entry.as_json() for entry in entries]
    return {"entries": rows, "count": count, "next": rows[-1]["seq"] if rows else count}


READS: Mapping[str, Handler] = {
    "": index,
    "health": health,
    "state": state,
    "ledger": ledger,
    "ledger/requests": requests,
    "ledger/webhooks": webhooks,
    "ledger/limits": limits,
    "ledger/energy": energy,
    "faults": faults,
    "webhooks": endpoint,
}
