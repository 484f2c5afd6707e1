"""People at the door, at six in the evening of 1 July 2026."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.test import Client

from gateway.login.models import LogIn
from tests.fleet import NOW

PASSWORD = "correct horse battery"
LOGIN = "/admin/login/"
VERIFY, ENROL = "/login/second-factor/", "/login/second-factor/enrol/"


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    cache.clear()
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def person(name: str = "anna", role: str = "operator", **fields: Any) -> User:
    """Somebody with a password and a role."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True, **fields)
    user.groups.set(Group.objects.filter(name=role))
    return user


@pytest.fixture
def anna(db: None) -> User:
    return person()


def log_in(name: str = "anna", password: str = PASSWORD, client: Client | None = None) -> Client:
    """By the real page."""
    browser = client or Client()
    browser.post(f"{LOGIN}?next=/admin/", {"username": name, "password": password})
    return browser


def totp(key: str, *, at_s: float | None = None) -> str:
    """RFC 6238 with SHA-1, 30 s and 6 digits, as every app has it; `key` in base32."""
    counter = struct.pack(">Q", int(time.time() if at_s is None else at_s) // 30)
    digest = hmac.digest(base64.b32decode(key.replace(" ", "")), counter, hashlib.sha1)
    start = digest[-1] & 0x0F
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def key_on(page: Any) -> str:
    """What an app would be given: the key that the page shows."""
    [key] = re.findall(r'id="totp-key">([A-Z2-7 ]+)<', page.content.decode())
    return str(key)


def codes_on(page: Any) -> list[str]:
    """The recovery codes that the page shows."""
    return re.findall(r"<li><code>([a-z2-7-]+)</code></li>", page.content.decode())


def set_up(client: Client) -> tuple[str, list[str]]:
    """Enrol by the real pages; the key and the recovery codes."""
    key = key_on(client.get(ENROL))
    return key, codes_on(client.post(ENROL, {"code": totp(key)}))


def is_in(client: Client) -> bool:
    """Whether the admin opens."""
    return bool(client.get("/admin/").status_code == 200)


def log() -> list[tuple[str, str]]:
    """Who, and what; the oldest first."""
    return list(LogIn.objects.order_by("id").values_list("username", "outcome"))
