"""Who wants to be told what, what was told, and every attempt to deliver it."""

from __future__ import annotations

import uuid
from typing import ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from dr_events.models import Event


class Kind(models.TextChoices):
    """What a notice is about, and what can be subscribed to."""

    DECLARED = "declared", "an event was declared"
    STARTED = "started", "an event started"
    TROUBLE = "trouble", "trouble began, grew or ended"
    ENDED = "ended", "an event ended or was cancelled"
    RESTORED = "restored", "every limit of an event is gone"
    EXPORTED = "exported", "a report that you asked for is ready, or failed"


TEST = "test"


class Channel(models.TextChoices):
    EMAIL = "email", "e-mail"
    WEBHOOK = "webhook", "webhook"


class Subscription(models.Model):
    """One address to which one person wants certain kinds of notices sent.

    `secret` signs webhooks; it is shown once, when the subscription is made. A receiver that fails
    is left alone until `hold_until`, so that what waits for it never keeps others waiting.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="subscriptions"
    )
    channel = models.CharField("sent as", max_length=8, choices=Channel.choices)
    address = models.CharField(
        max_length=500, help_text="An e-mail address, or an https address that takes a POST."
    )
    kinds = ArrayField(models.CharField(max_length=10, choices=Kind.choices), verbose_name="about")
    is_active = models.BooleanField("active", default=True)
    secret = models.CharField(max_length=100, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    hold_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("owner__username", "channel", "address")
        permissions: ClassVar = [
            ("see_all_subscriptions", "Can see everybody's subscriptions"),
            ("manage_all_subscriptions", "Can change everybody's subscriptions"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["owner", "address"], name="subscription_once"),
            models.CheckConstraint(
                condition=Q(channel="email", secret="") | (Q(channel="webhook") & ~Q(secret="")),
                name="subscription_webhook_has_secret",
            ),
            models.CheckConstraint(
                condition=Q(kinds__len__gt=0), name="subscription_about_something"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.place} of {self.owner}"

    @property
    def place(self) -> str:
        """The address for everybody's eyes: the rest of a web address is often a secret by
        itself."""
        if self.channel == Channel.EMAIL:
            return self.address
        return f"https://{urlsplit(self.address).hostname}/…"


class Notice(models.Model):
    """Something that was to be told, as it was when it happened. Written in the transaction of
    what it tells of, and only where somebody wants to know."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=10, choices=[*Kind.choices, (TEST, "a test")])
    subject = models.CharField(max_length=200)
    content = models.JSONField()
    event = models.ForeignKey(Event, models.PROTECT, null=True, related_name="notices")
    at = models.DateTimeField()

    class Meta:
        ordering = ("-at", "id")
        default_permissions = ("view",)
        indexes: ClassVar = [models.Index(F("at").desc(), "id", name="notice_newest")]

    def __str__(self) -> str:
        return self.subject


class Delivery(models.Model):
    """One notice on its way to one address.

    States: due → delivered | given_up; due → dropped where the subscription is gone or off.
    `next_attempt_at` is the lease and the back-off in one.
    """

    class State(models.TextChoices):
        DUE = "due"
        DELIVERED = "delivered"
        GIVEN_UP = "given_up", "given up"
        DROPPED = "dropped", "dropped: nobody wants it any more"

    notice = models.ForeignKey(Notice, models.PROTECT, related_name="deliveries")
    subscription = models.ForeignKey(
        Subscription, models.SET_NULL, null=True, related_name="deliveries"
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    address = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=State.choices, db_default=State.DUE)
    attempts = models.PositiveIntegerField(db_default=0)
    next_attempt_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "deliveries"
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["notice", "subscription"], name="delivery_once_a_notice"
            ),
            models.CheckConstraint(
                condition=Q(state="due", next_attempt_at__isnull=False, settled_at__isnull=True)
                | (~Q(state="due") & Q(next_attempt_at__isnull=True, settled_at__isnull=False)),
                name="delivery_due_or_settled",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                "subscription", "next_attempt_at", condition=Q(state="due"), name="delivery_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.notice} to {self.address}"


class Attempt(models.Model):
    """One attempt of a delivery: committed before it is made, completed with its outcome. One
    without an outcome whose lease has passed was lost with its worker."""

    delivery = models.ForeignKey(Delivery, models.PROTECT, related_name="tries")
    number = models.PositiveIntegerField()
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=40, db_default="", help_text="Empty while under way.")
    status = models.PositiveSmallIntegerField(
        null=True, help_text="HTTP status, or the mail server's code."
    )
    answer = models.CharField(max_length=500, db_default="")

    class Meta:
        ordering = ("id",)
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["delivery", "number"], name="notice_attempt_once"),
        ]

    def __str__(self) -> str:
        return f"try {self.number} of {self.delivery_id}"


class Trouble(models.Model):
    """Something that is wrong now, or was a moment ago: how bad it is, and how bad it was when it
    was last told. `figure` counts what is concerned; 0 means that it is over."""

    key = models.CharField(max_length=80, primary_key=True)
    subject = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)
    event = models.ForeignKey(Event, models.CASCADE, null=True)
    since = models.DateTimeField()
    figure = models.PositiveIntegerField()
    told_figure = models.PositiveIntegerField(default=0)
    told_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("since", "key")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.subject
