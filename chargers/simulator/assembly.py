"""The parts of a running simulator, put together from its options."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import orjson

from chargers.simulator.clock import Clock, Scheduler
from chargers.simulator.commands import Commands
from chargers.simulator.faults import Faults
from chargers.simulator.fields import FieldError
from chargers.simulator.fleet import build_fleet
from chargers.simulator.ids import Ids
from chargers.simulator.ledger import Ledger
from chargers.simulator.options import Options
from chargers.simulator.outbox import Outbox
from chargers.simulator.playback import Playback, replay_fleet
from chargers.simulator.replay import VOLTAGE_V, Plan, read_plan
from chargers.simulator.senders import Senders
from chargers.simulator.traffic import Traffic
from chargers.simulator.world import World


@dataclass(frozen=True, slots=True)
class Assembly:
    options: Options
    scheduler: Scheduler
    ledger: Ledger
    faults: Faults
    outbox: Outbox
    senders: Senders
    world: World
    commands: Commands
    traffic: Traffic | Playback
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


def assemble(options: Options) -> Assembly:
    """FleetError, ReplayError or FieldError (a fault) if the options cannot be met."""
    plan = _plan(options)
    fleet = replay_fleet(plan, options) if plan else build_fleet(options)
    scheduler = Scheduler(Clock(options.time_factor))
    ids, ledger = Ids(options.seed), Ledger(options.keep)
    faults = _faults(options)
    outbox = Outbox(ids=ids, ledger=ledger, faults=faults, scheduler=scheduler, seed=options.seed)
    world = World(options, fleet, scheduler=scheduler, ids=ids, outbox=outbox)
    ledger.notes += plan.notes if plan else []
    return Assembly(
        options=options,
        scheduler=scheduler,
        ledger=ledger,
        faults=faults,
        outbox=outbox,
        senders=Senders(options, outbox, scheduler),
        world=world,
        commands=Commands(world, outbox, faults),
        traffic=Playback(world, plan) if plan else Traffic(world),
    )


def _plan(options: Options) -> Plan | None:
    if options.replay is None:
        return None
    voltage_v = options.voltage_v or VOLTAGE_V
    return read_plan(options.replay, voltage_v=voltage_v, from_ms=options.replay_from_ms)


def _faults(options: Options) -> Faults:
    faults = Faults(options.seed)
    for text in options.faults:
        try:
            faults.add(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            raise FieldError(f"--fault {text!r}: not JSON: {error}") from None
    return faults
