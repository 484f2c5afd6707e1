"""The simulator as a process of its own, and its control surface, for tests of the gateway."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import requests

from gateway.processes import die_with_parent
from tests.waiting import wait_until

API_KEY = "simulator"
SECRET = "simulator-secret"


class Simulation:
    """`with Simulation("--sessions", "20") as edrv:` — stopped at the end, however it comes."""

    def __init__(self, *flags: str, log_path: Path | None = None) -> None:
        self._flags = flags
        self._log_path = log_path

    def __enter__(self) -> Self:
        with tempfile.TemporaryDirectory() as folder:
            ready = Path(folder) / "ready.json"
            self._start(ready)
            wait_until(ready.exists, within_s=20, or_fail=self._died)
            said = json.loads(ready.read_text())
        self.api_url, self.control_url = said["api_url"], said["control_url"]
        self.http = requests.Session()
        return self

    def _start(self, ready: Path) -> None:
        log = self._log_path.open("ab") if self._log_path else subprocess.DEVNULL
        argv = [sys.executable, "-m", "chargers.simulator", "--port", "0"]
        self.process = subprocess.Popen(
            [*argv, "--ready-file", str(ready), *self._flags],
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )

    def _died(self) -> None:
        assert self.process.poll() is None, "the simulator ended at its start"

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """A call of the control surface; fails the test unless it succeeds."""
        answer = self.http.request(
            method, f"{self.control_url}/{path}", json=body, params=query, timeout=20
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, kind: str, **more: Any) -> str:
        return str(self.call("POST", "faults", {"kind": kind, **more})["id"])

    def clear_faults(self) -> None:
        self.call("DELETE", "faults")

    def send_webhooks_to(self, url: str, secret: str = SECRET) -> None:
        self.call("POST", "webhooks", {"url": url, "secret": secret})

    def state(self) -> Any:
        return self.call("GET", "state")

    def ledger(self) -> Any:
        return self.call("GET", "ledger")

    def limits(self, *, ended_too: bool = False) -> dict[str, Any]:
        """The simulator's own book: what each session is held to, by session id."""
        query = {"all": "true"} if ended_too else {}
        return dict(self.call("GET", "ledger/limits", **query)["sessions"])

    def limited(self) -> dict[str, Any]:
        """Open sessions with a limit in force."""
        return {key: row for key, row in self.limits().items() if row["limit"] is not None}

    def requests(self) -> list[dict[str, Any]]:
        found = self.call("GET", "ledger/requests", limit=200_000)
        return list(found["entries"])

    def commands(self, session_id: str | None = None) -> list[dict[str, Any]]:
        """The set and clear requests it got, in their order."""
        return [
            row
            for row in self.requests()
            if row["path"].endswith("_power_limit") and session_id in (None, row["session"])
        ]

    def plug_in(self, **wishes: Any) -> Any:
        return self.call("POST", "sessions", wishes)

    def unplug(self, session_id: str) -> None:
        self.call("POST", f"sessions/{session_id}/unplug")

    def set_online(self, chargestation_id: str, online: bool) -> None:
        self.call("POST", f"chargestations/{chargestation_id}/{'online' if online else 'offline'}")
