"""The second factor: codes of an authenticator app (RFC 6238), and recovery codes for when it is
lost. django-otp keeps the keys, checks the codes, takes none twice and slows guessing down."""

from __future__ import annotations

import math
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime

import segno
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from chargers import audit
from chargers.audit import Actor

RECOVERY_CODES = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a code was right. `wait_s`: it was not even looked at, after too many wrong ones."""

    accepted: bool
    is_recovery: bool = False
    wait_s: int = 0


def is_enrolled(user: User) -> bool:
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


@transaction.atomic
def verify(user: User, said: str) -> Verdict:
    """Check a code of the app, or use up a recovery code."""
    code = "".join(said.split()).replace("-", "").lower()
    is_recovery = not (len(code) == 6 and code.isascii() and code.isdigit())
    model = StaticDevice if is_recovery else TOTPDevice
    device = model.objects.select_for_update().filter(user=user, confirmed=True).first()
    if device is None:
        return Verdict(False)
    allowed, why_not = device.verify_is_allowed()
    if not allowed:
        left_s = (why_not["locked_until"] - timezone.now()).total_seconds()
        return Verdict(False, wait_s=max(1, math.ceil(left_s)))
    return Verdict(device.verify_token(code), is_recovery)


def begun(user: User) -> TOTPDevice:
    """The app that is being set up: the same until it is confirmed or another log-in begins."""
    device, _ = TOTPDevice.objects.get_or_create(user=user, confirmed=False)
    return device


def key_text(device: TOTPDevice) -> str:
    """The key as it is typed into an app that cannot see, in groups of four."""
    key = b32encode(device.bin_key).decode()
    return " ".join(key[start : start + 4] for start in range(0, len(key), 4))


def qr_svg(device: TOTPDevice) -> str:
    """The key as a picture; inline, without style or script."""
    svg: str = segno.make(device.config_url, error="m").svg_inline(
        scale=5, border=4, light="#fff", dark="#000", omitsize=False
    )
    return svg


@transaction.atomic
def confirm(user: User, said: str, *, actor: Actor, now: datetime) -> list[str]:
    """The app shows the right code: from now on it is the one, and these are the new recovery
    codes. None for a wrong code."""
    device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
    if device is None or not device.verify_token("".join(said.split())):
        return []
    TOTPDevice.objects.filter(user=user).exclude(pk=device.pk).delete()
    TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
    codes = _new_recovery_codes(user)
    _note("user.second_factor_enrolled", user, actor, now)
    return codes


def _new_recovery_codes(user: User) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="recovery codes")
    codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return [f"{code[:4]}-{code[4:]}" for code in codes]


@transaction.atomic
def reset(user: User, *, actor: Actor, now: datetime) -> bool:
    """Take somebody's second factor away, app and recovery codes, since they have lost them. False
    where there was none."""
    taken = TOTPDevice.objects.filter(user=user).delete()[0]
    taken += StaticDevice.objects.filter(user=user).delete()[0]
    if taken:
        _note("user.second_factor_reset", user, actor, now)
    return bool(taken)


def _note(action: str, user: User, actor: Actor, now: datetime) -> None:
    audit.record(
        actor,
        action,
        at=now,
        subject="user",
        subject_ids=[user.pk],
        after={"name": user.get_username()},
    )
