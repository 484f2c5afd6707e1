"""POST and DELETE below `/_sim/`: faults, cars, stations, the webhook endpoint, the end."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from chargers.simulator import views
from chargers.simulator.assembly import Assembly
from chargers.simulator.control_calls import Call, Handler, found
from chargers.simulator.fields import FieldError, Fields
from chargers.simulator.http import ApiError
from chargers.simulator.model import Json
from chargers.simulator.plugging import plug_in
from chargers.simulator.poster import Target
from chargers.simulator.senders import Endpoint
from chargers.simulator.signing import SIGNED_CONTENTS, STYLES


async def add_fault(sim: Assembly, call: Call) -> Json:
    return sim.faults.add(call.body).as_json()


async def clear_faults(sim: Assembly, call: Call) -> Json:
    return {"removed": sim.faults.clear()}


async def remove_fault(sim: Assembly, call: Call) -> Json:
    (fault_id,) = call.args
    if (fault := sim.faults.remove(fault_id)) is None:
        raise ApiError(404, f"fault: {fault_id} does not exist")
    return fault.as_json()


async def add_session(sim: Assembly, call: Call) -> Json:
    session = plug_in(sim.world, call.fields())
    return {"_id": session.id, **views.session_row(sim.world, session)}


async def unplug(sim: Assembly, call: Call) -> Json:
    session = found(sim.world.sessions, call.args[0], "session")
    if not session.open or session.unplugged:
        raise ApiError(409, f"session: {session.id} is over already")
    sim.world.unplug(session)
    return {"_id": session.id, **views.session_row(sim.world, session)}


async def offline(sim: Assembly, call: Call) -> Json:
    return _set_online(sim, call, False)


async def online(sim: Assembly, call: Call) -> Json:
    return _set_online(sim, call, True)


def _set_online(sim: Assembly, call: Call, online: bool) -> Json:
    station = found(sim.world.stations, call.args[0], "chargestation")
    sim.world.set_online(station, online)
    return {"_id": station.id, "online": station.online}


async def use_endpoint(sim: Assembly, call: Call) -> Json:
    """A new endpoint, enabled; what is not said stays as it was."""
    endpoint = _endpoint(call.fields(), sim)
    sim.senders.use(endpoint)
    return {"endpoint": endpoint.as_json()}


def _endpoint(fields: Fields, sim: Assembly) -> Endpoint:
    old, options = sim.senders.endpoint, sim.options
    disable_after = old.disable_after if old else options.disable_after
    endpoint = Endpoint(
        target=_target(fields, old.target.url if old else None),
        secret=fields.text("secret", old.secret if old else options.webhook_secret),
        signed_content=fields.choice(
            "signed_content", SIGNED_CONTENTS, old.signed_content if old else options.signed_content
        ),
        style=fields.choice(
            "signature_style", STYLES, old.style if old else options.signature_style
        ),
        disable_after=fields.whole("disable_after", least=1)
        if fields.has("disable_after")
        else disable_after,
    )
    fields.end()
    return endpoint


def _target(fields: Fields, default: str | None) -> Target:
    try:
        return Target(fields.text("url", default))
    except FieldError:
        raise
    except ValueError as error:
        raise fields.error("url", str(error)) from None


async def send_raw(sim: Assembly, call: Call) -> Json:
    """One signed attempt with the body as given, past lanes and faults; its outcome."""
    if not isinstance(call.body, dict):
        raise FieldError("body: must be a JSON object")
    if sim.senders.endpoint is None:
        raise ApiError(409, "no webhook endpoint is set")
    outcome = await sim.senders.post(sim.senders.endpoint, orjson.dumps(call.body))
    return {"status": outcome.status}


async def stop(sim: Assembly, call: Call) -> Json:
    sim.stopping.set()
    return {"stopping": True}


POSTS: Mapping[str, Handler] = {
    "faults": add_fault,
    "sessions": add_session,
    "sessions/*/unplug": unplug,
    "chargestations/*/offline": offline,
    "chargestations/*/online": online,
    "webhooks": use_endpoint,
    "webhooks/send": send_raw,
    "stop": stop,
}
DELETES: Mapping[str, Handler] = {"faults": clear_faults, "faults/*": remove_fault}
