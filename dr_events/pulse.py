"""The pulse of the loop: its heartbeat, and from when on its absence is an outage."""

SWEPT = "sweep"
OUTAGE_S = 15
