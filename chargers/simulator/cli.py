"""The command line of the simulator."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from chargers.simulator.clock import ms_from_iso
from chargers.simulator.fields import FieldError
from chargers.simulator.fleet import FleetError
from chargers.simulator.options import QUIRKS, Options
from chargers.simulator.poster import Target
from chargers.simulator.replay import ReplayError
from chargers.simulator.server import serve
from chargers.simulator.signing import SIGNED_CONTENTS, STYLES

DEFAULTS = Options()


def main(argv: Sequence[str]) -> int:
    """Exit status: 0 stopped as asked, 2 the options cannot be met."""
    options = parse(argv)
    try:
        asyncio.run(serve(options))
    except (FleetError, ReplayError, FieldError, OSError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    return 0


def parse(argv: Sequence[str]) -> Options:
    """SystemExit 2 with a message for a bad argument, as argparse does."""
    values = vars(_parser().parse_args(argv))
    return Options(**{**values, "faults": tuple(values["faults"] or ())})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chargers.simulator",
        description="A fake eDRV: API, webhooks, stations and cars. See /_sim/ for its ledger.",
        allow_abbrev=False,
    )
    for build in (_listening, _api, _stations, _webhooks, _cars, _fleet, _replay):
        build(parser)
    return parser


def _listening(parser: argparse.ArgumentParser) -> None:
    add = _adder(parser, "listening")
    add("--host", help="address to bind; the control surface has no key, so keep it on loopback")
    add("--port", type=_whole(0, 65535), help="0 picks a free one")
    add("--base-path", type=_base_path, help="of the API")
    add("--ready-file", type=Path, help="written as JSON once the port is open")
    add("--seed", type=int, help="of everything that is left to chance")
    add("--keep", type=_whole(1), help="requests, webhooks and actions remembered, of each")


def _api(parser: argparse.ArgumentParser) -> None:
    add = _adder(parser, "eDRV's API")
    add("--api-key", help="expected as Authorization: Bearer")
    add("--command-method", choices=("POST", "PUT", "PATCH", "GET"), help="of set and clear")
    add("--command-status", type=int, choices=(200, 201, 202), help="of an accepted command")
    add("--no-actions", dest="actions", action="store_false", help="GET actions/{id} is a 404")
    add("--first-page", type=int, choices=(0, 1), help="what paginate_page calls the first page")
    add("--http-delay", dest="http_delay_s", type=_number(), help="real seconds before any answer")
    add("--fault", dest="faults", action="append", help="JSON as for POST /_sim/faults; repeatable")


def _stations(parser: argparse.ArgumentParser) -> None:
    add = _adder(parser, "stations")
    add(
        "--answer-delay",
        dest="answer_delay_s",
        type=_range,
        metavar="LEAST..MOST",
        help="real seconds until a station answers",
    )
    add(
        "--station-timeout",
        dest="station_timeout_s",
        type=_number(),
        help="simulated seconds until a command to an offline station fails",
    )
    add("--unsupported", choices=("http", "action"), help="how simulators refuse: 400, or failed")
    add("--strict-clear", action="store_true", help="a clear with nothing to clear fails (Unknown)")


def _webhooks(parser: argparse.ArgumentParser) -> None:
    add = _adder(parser, "webhooks")
    add("--webhook-url", type=_url, help="where to post; may be set later through /_sim/webhooks")
    add("--webhook-secret", help="of the signature")
    add("--signed-content", choices=SIGNED_CONTENTS, help="what v1 signs")
    add("--signature-style", choices=STYLES, help="t=,v1= or the older sha256=")
    add("--webhook-names", choices=("completed", "accepted"), help="of the action events")
    add("--webhook-concurrency", type=_whole(1), help="deliveries in flight")
    add("--webhook-timeout", dest="webhook_timeout_s", type=_number(0.001), help="real seconds")
    add(
        "--webhook-backoff",
        dest="webhook_backoff_s",
        type=_numbers,
        help="real seconds between tries, comma-separated; the last one repeats",
    )
    add("--webhook-tries", type=_whole(1), help="until a delivery is given up")
    add("--disable-after", type=_whole(1), help="consecutive failures that disable the endpoint")
    add("--quirks", type=_quirks, help=f"comma-separated, or all: {', '.join(QUIRKS)}")


def _cars(parser: argparse.ArgumentParser) -> None:
    add = _adder(parser, "cars")
    add(
        "--time-factor",
        type=_number(0.001),
        help="simulated seconds in a real one: lags, reports, charging, arrivals, station time-out",
    )
    add("--report-interval", dest="report_interval_s", type=_number(0.1), help="simulated seconds")
    add("--arrivals-per-hour", type=_number(), help="simulated hours; default: as many as leave")
    add("--static", action="store_true", help="no car comes or goes by itself")
    add("--share-no-shows", type=_number(0, 1), help="of arrivals that never start")


def _fleet(parser: argparse.ArgumentParser) -> None:
    add = _adder(parser, "fleet")
    add("--sites", type=_whole(1))
    add("--sessions", type=_whole(0), help="running at the start")
    add("--stations-per-site", type=_whole(1), help="default: enough for the sessions, and some")
    add("--share-dc", type=_number(0, 1), help="of stations")
    add("--share-simulator", type=_number(0, 1), help="of stations: eDRV's own simulators")
    add("--share-amperes-only", type=_number(0, 1), help="of stations: reject unit power")
    add("--share-offline", type=_number(0, 1), help="of stations")
    add("--share-three-phase", type=_number(0, 1), help="of AC stations")
    add("--timezone", type=_timezone, help="of the sites")
    add("--voltage", dest="voltage_v", type=_number(1), help="per phase; default 230, replay 208")
    add("--dc-voltage", dest="dc_voltage_v", type=_number(1))


def _replay(parser: argparse.ArgumentParser) -> None:
    add = _adder(parser, "replay, instead of a generated fleet")
    add("--replay", type=Path, help="CSV of real sessions in ACN-Data's columns")
    add("--replay-from", dest="replay_from_ms", type=_instant, help="ISO-8601; default: first row")


def _adder(parser: argparse.ArgumentParser, title: str) -> Callable[..., None]:
    """Adds options to one group; the default, and what help says of it, come from Options."""
    group = parser.add_argument_group(title)

    def add(flag: str, *, help: str = "", dest: str = "", **settings: Any) -> None:
        name = dest or flag.removeprefix("--").replace("-", "_")
        default = getattr(DEFAULTS, name)
        if "action" not in settings and "choices" not in settings:
            settings.setdefault("metavar", flag.rsplit("-", 1)[-1].upper())
        text = f"{help} {_shown(default)}".strip()
        start = None if settings.get("action") == "append" else default
        group.add_argument(flag, dest=name, default=start, help=text, **settings)

    return add


def _shown(default: object) -> str:
    if default is None or isinstance(default, bool) or default in ((), frozenset()):
        return ""
    if isinstance(default, tuple):
        between = ".." if len(default) == 2 else ","
        return f"(default {between.join(f'{value:g}' for value in default)})"
    return f"(default {default:g})" if isinstance(default, float) else f"(default {default})"


def _number(least: float = 0.0, most: float = math.inf) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least:g} and {most:g}")
        return value

    return number


def _whole(least: int, most: int = 10_000_000) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return value

    return whole_number


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(_number()(part) for part in text.split(","))


def _range(text: str) -> tuple[float, float]:
    least, _, most = text.partition("..")
    low, high = _number()(least), _number()(most or least)
    if high < low:
        raise argparse.ArgumentTypeError(f"{text}: the second number is the smaller one")
    return low, high


def _quirks(text: str) -> frozenset[str]:
    chosen = frozenset(QUIRKS if text == "all" else filter(None, text.split(",")))
    if unknown := chosen - set(QUIRKS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return chosen


def _url(text: str) -> str:
    try:
        return Target(text).url
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def _base_path(text: str) -> str:
    if not text.startswith("/") or not text.strip("/") or text.startswith("/_sim"):
        raise argparse.ArgumentTypeError(f"{text!r} must begin with / and not be empty or /_sim")
    return text.rstrip("/")


def _timezone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, KeyError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time zone") from None


def _instant(text: str) -> int:
    try:
        return ms_from_iso(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO-8601 time") from None
