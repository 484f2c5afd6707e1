"""The log of log-ins, and who people are at the provider of single sign-on."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class LogIn(models.Model):
    """Something that happened at the door. `username` is empty where nobody has that name: what
    was typed there may be a password."""

    class Outcome(models.TextChoices):
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CODE_ACCEPTED = "code_accepted", "code accepted"
        RECOVERY_CODE_USED = "recovery_code", "recovery code used"
        CODE_REFUSED = "code_refused", "code refused"
        THROTTLED = "throttled", "refused: too many attempts"
        LOGGED_OUT = "logged_out", "logged out"
        EXPIRED = "expired", "session expired"

    class Method(models.TextChoices):
        PASSWORD = "password"
        SSO = "sso", "single sign-on"

    at = models.DateTimeField()
    username = models.CharField("user", max_length=150, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    method = models.CharField(max_length=8, choices=Method.choices)
    address = models.CharField(max_length=45, blank=True)
    browser = models.CharField(max_length=200, blank=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "log-in"
        default_permissions = ("view",)
        indexes: ClassVar = [models.Index("username", "at", name="login_by_user")]

    def __str__(self) -> str:
        return f"{self.username or 'somebody'} {self.get_outcome_display()}"


class Identity(models.Model):
    """Who somebody is at the provider of single sign-on. Names and addresses change hands there;
    the subject never does (OpenID Connect Core 1.0, section 2)."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="sso_identity"
    )
    issuer = models.CharField(max_length=300)
    subject = models.CharField(max_length=255)

    class Meta:
        verbose_name_plural = "identities"
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="identity_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} at {self.issuer}"
