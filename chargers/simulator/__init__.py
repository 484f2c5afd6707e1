"""A fake eDRV: its API, its webhooks, stations that answer and cars that behave like cars.

One process, one event loop: `python -m chargers.simulator --help`. The package imports nothing of
the gateway, so that the two hold independent books of what was asked and what was done; what the
simulator saw is read from its ledger under `/_sim/`.
"""
