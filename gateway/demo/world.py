"""The demo's world: a gateway, a simulated fleet behind three feeders, a log-in and a client."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from gateway.processes import Program, Supervisor
from gateway.roles import ROLES

SITES = 12
SESSIONS = 240
# Simulated seconds in a real one: cars answer within seconds, and report every 5 s.
TIME_FACTOR = 6
FEEDERS = ("F11", "F12", "F13")
# One user for each role, named after it; the first is the one to begin with.
CREATE_USERS = """
import os
from django.contrib.auth.models import Group, User
from gateway.roles import ROLES
for role in ROLES:
    user = User.objects.create_user(role, password=os.environ["DEMO_PASSWORD"], is_staff=True)
    user.groups.add(Group.objects.get(name=role))
"""

# A fleet without anything wrong would show nothing of what the gateway is for.
FAULTS = (
    {"kind": "reject", "match": {"calls": ["set"], "share": 0.03, "sticky": True}},
    {"kind": "ignore_limit", "match": {"share": 0.03, "sticky": True}},
)


@dataclass(frozen=True, slots=True)
class LogIn:
    """Who may log in, all with the same password."""

    url: str
    users: Sequence[str]
    password: str


class World:
    """Started step by step; every step says what it does through `say`."""

    def __init__(self, base_dir: Path, data_dir: Path, port: int, say: Callable[[str], object]):
        self._manage = [sys.executable, str(base_dir / "manage.py")]
        self._port = port
        self._say = say
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"
        self._edrv_key, self._webhook_secret = secrets.token_hex(16), secrets.token_hex(16)
        self.supervisor = Supervisor(log_dir=data_dir / "logs")

    def start(self) -> None:
        """Simulator first, since the gateway's first sync asks for its fleet."""
        shutil.rmtree(self.data_dir, ignore_errors=True)
        self.data_dir.mkdir(parents=True)
        self.supervisor = Supervisor(log_dir=self.data_dir / "logs")
        self._say(f"Starting the simulator: {SESSIONS} charging sessions on {SITES} sites …")
        self.supervisor.start(self._simulator())
        self._control_url = json.loads(self._ready_file.read_text())["control_url"]
        self._say("Starting the gateway: PostgreSQL, Valkey, web, webhooks, workers, beat …")
        self.supervisor.start(self._gateway())

    @property
    def _ready_file(self) -> Path:
        return self.data_dir / "simulator.json"

    def _simulator(self) -> Program:
        flags: dict[str, Any] = {
            "port": 0,
            "ready-file": self._ready_file,
            "api-key": self._edrv_key,
            "webhook-url": f"http://127.0.0.1:{self._port + 1}/webhooks/edrv/",
            "webhook-secret": self._webhook_secret,
            "sites": SITES,
            "sessions": SESSIONS,
            "time-factor": TIME_FACTOR,
            "share-offline": 0.03,
        }
        argv = [*self._manage, "simulator"]
        argv += [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
        argv += [word for fault in FAULTS for word in ("--fault", json.dumps(fault))]
        return Program("simulator", argv, is_server=True, ready=self._ready_file.exists)

    def _gateway(self) -> Program:
        argv = [*self._manage, "up", "--port", str(self._port)]
        return Program("gateway", argv, env=self._env(), stop_timeout_s=60, ready=self._is_ready,
                       ready_timeout_s=400)  # fmt: skip

    def _env(self) -> Mapping[str, str]:
        said = json.loads(self._ready_file.read_text())
        return {
            "DATA_DIR": str(self.data_dir),
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "EDRV_API_URL": said["api_url"],
            "EDRV_API_KEY": self._edrv_key,
            "EDRV_WEBHOOK_SECRETS": self._webhook_secret,
            "COMPLIANCE_PATIENCE_S": "15",
        }

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/ready/", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def command(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Run a manage.py command against this world; returns what it printed."""
        done = subprocess.run(
            [*self._manage, *words],
            env={**os.environ, **self._env(), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"manage.py {words[0]} failed:\n{done.stderr.strip()}")
        return done.stdout

    def create_log_in(self) -> LogIn:
        password = secrets.token_urlsafe(9)
        self.command("shell", "-v", "0", "-c", CREATE_USERS, env={"DEMO_PASSWORD": password})
        return LogIn(f"{self.url}/admin/", ROLES, password)

    def create_client(self) -> Client:
        scopes = ("events:read", "events:write", "fleet:read", "reports:read")
        said = self.command("create_api_client", "demo", "--scope", *scopes)
        return Client(self.url, json.loads(said))

    def place_sites(self, client: Client) -> None:
        """eDRV knows no feeders: the grid place of every site is imported from CSV."""
        client.wait_for(lambda: len(client.all("sites/")) == SITES)
        path = self.data_dir / "grid.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["external_id", "grid_zone", "substation", "feeder"])
            for number, site in enumerate(client.all("sites/")):
                feeder = FEEDERS[number % len(FEEDERS)]
                writer.writerow([site["external_id"], "North", "Millbrook", feeder])
        self._say(f"Importing the sites' place in the grid: {path}")
        self.command("import", "chargers.resources.SiteResource", str(path), "--no-input")

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """The simulator's own book, and its cars."""
        answer = requests.request(method, f"{self._control_url}/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def plug_in(self, client: Client, sites: set[str], cars: int) -> list[str]:
        """Plug cars in at free connectors of these sites; returns the sessions' ids."""
        book = self.control("GET", "ledger/limits")["sessions"]
        taken = {row["connector"] for row in book.values()}
        free = [
            connector["external_id"]
            for station in client.all("chargestations/")
            if station["site"] in sites and station["online"]
            for connector in station["connectors"]
            if connector["external_id"] not in taken
        ]
        return [
            str(self.control("POST", "sessions", {"connector": connector})["_id"])
            for connector in free[:cars]
        ]


class Client:
    """The REST interface, as an integrator would call it."""

    def __init__(self, url: str, credentials: Mapping[str, str]) -> None:
        self._api = f"{url}/api/v1"
        self._http = requests.Session()
        answer = self._http.post(
            f"{url}/oauth/token/",
            data={"grant_type": "client_credentials"},
            auth=(credentials["client_id"], credentials["client_secret"]),
            timeout=10,
        )
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str, **query: Any) -> Any:
        return self._checked(self._http.get(f"{self._api}/{path}", params=query, timeout=30))

    def post(self, path: str, body: Any = None) -> Any:
        return self._checked(self._http.post(f"{self._api}/{path}", json=body, timeout=30))

    def download(self, path: str, **query: Any) -> bytes:
        answer = self._http.get(f"{self._api}/{path}", params=query, timeout=60)
        answer.raise_for_status()
        return answer.content

    def all(self, path: str, **query: Any) -> list[Any]:
        """Every page of a list."""
        page = self.get(path, page_size=1000, **query)
        found = list(page["results"])
        while page["next"]:
            page = self._checked(self._http.get(page["next"], timeout=30))
            found += page["results"]
        return found

    def wait_for(self, condition: Callable[[], bool], *, within_s: float = 60) -> None:
        give_up_at = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"waited {within_s:.0f} s in vain")
            time.sleep(0.5)

    def _checked(self, answer: requests.Response) -> Any:
        if not answer.ok:
            raise RuntimeError(f"{answer.url}: HTTP {answer.status_code}: {answer.text[:500]}")
        return answer.json()
