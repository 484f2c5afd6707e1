"""Every setting of one run, with its unit and its default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

QUIRKS = (
    "string-numbers",  # energy_report values as "16.0"
    "power-in-w",  # power in W instead of kW
    "energy-in-wh",  # energy_meter in Wh instead of kWh
    "status-case",  # "Started", "started" or "STARTED", as it comes
    "populated",  # a session's chargestation and connector as objects instead of ids
    "extra-fields",  # fields no page documents
    "unknown-types",  # now and then a webhook type no page documents
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Durations end in `_s`. Which of them are simulated is said beside each group."""

    # Listening.
    host: str = "127.0.0.1"
    port: int = 8010
    base_path: str = "/v1.1"
    ready_file: Path | None = None
    seed: int = 1
    keep: int = 200_000  # requests, webhooks and actions remembered; the oldest go first

    # The API. Real seconds.
    api_key: str = "simulator"
    command_method: str = "POST"
    command_status: int = 200
    actions: bool = True
    first_page: int = 1
    http_delay_s: float = 0.0
    faults: tuple[str, ...] = ()

    # How stations answer. The answer delay is real, the station's time-out simulated.
    answer_delay_s: tuple[float, float] = (0.05, 0.5)
    station_timeout_s: float = 30.0
    unsupported: str = "http"
    strict_clear: bool = False

    # Webhooks. Real seconds.
    webhook_url: str | None = None
    webhook_secret: str = "simulator-secret"
    signed_content: str = "body"
    signature_style: str = "v1"
    webhook_names: str = "completed"
    webhook_concurrency: int = 64
    webhook_timeout_s: float = 10.0
    webhook_backoff_s: tuple[float, ...] = (1, 2, 5, 10, 30, 60)
    webhook_tries: int = 10
    disable_after: int | None = None
    quirks: frozenset[str] = frozenset()

    # Cars. Simulated seconds and hours.
    time_factor: float = 1.0
    report_interval_s: float = 30.0
    arrivals_per_hour: float | None = None  # None: as many as leave
    static: bool = False
    share_no_shows: float = 0.02

    # The fleet.
    sites: int = 12
    sessions: int = 200
    stations_per_site: int | None = None  # None: enough for the sessions and some free connectors
    share_dc: float = 0.1
    share_simulator: float = 0.05
    share_amperes_only: float = 0.1
    share_offline: float = 0.02
    share_three_phase: float = 0.5
    timezone: str = "Europe/Berlin"
    voltage_v: float | None = None  # None: 230, and 208 in a replay
    dc_voltage_v: float = 400.0

    # Or a replay instead of a generated fleet.
    replay: Path | None = None
    replay_from_ms: int | None = None
