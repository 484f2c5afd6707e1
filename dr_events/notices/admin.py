"""Subscriptions, and the record of what was told, to whom, and how that went.

Everybody has subscriptions of their own; who may, sees everybody's, and who manages access changes
them. The record cannot be changed by anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from chargers.admin.pages import BigTableAdmin, PeriodFilter, ReadOnlyAdmin, ReadOnlyInline
from chargers.admin.parts import (
    actor_of,
    change_url,
    column,
    label,
    lines,
    link_column,
    moment,
    moment_column,
    preformatted,
    pretty_json,
    state_column,
    value_column,
)
from chargers.numerals import numeral
from chargers.problems import Problem
from chargers.wording import GAP, words
from dr_events.notices import contents, subscribing
from dr_events.notices.models import Attempt, Channel, Delivery, Kind, Subscription, Trouble

SECRET_PAGE = "admin/notices/subscription/secret.html"
STATE_COLOURS = {"due": "info", "delivered": "success", "given_up": "danger", "dropped": ""}


def sees_all(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("notices.see_all_subscriptions"))


def manages(request: HttpRequest, subscription: Subscription) -> bool:
    """Whether it is theirs to change."""
    is_own = subscription.owner_id == request.user.pk
    return is_own or bool(request.user.has_perm("notices.manage_all_subscriptions"))


def _about(subscription: Subscription) -> str:
    return ", ".join(subscription.kinds)


def _health(subscription: Subscription) -> str:
    if subscription.failing_since:
        return label(f"failing since {timezone.localtime(subscription.failing_since):%d %b %H:%M}",
                     "danger")  # fmt: skip
    return label("on", "success") if subscription.is_active else label("off")


about = column("about", "about", _about)
standing = column("standing", "standing", _health)


class SubscriptionForm(forms.ModelForm):  # type: ignore[type-arg]
    kinds = forms.MultipleChoiceField(
        label="Tell me when",
        choices=Kind.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = Subscription
        fields = ("channel", "address", "kinds", "is_active")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        address, channel = cleaned.get("address"), cleaned.get("channel")
        if not self.instance.pk and address and channel:
            try:
                subscribing.check_address(channel, address)
            except forms.ValidationError as error:
                self.add_error("address", error)
            else:
                self._check_once(address)
        return cleaned

    def _check_once(self, address: str) -> None:
        known = Subscription.objects.filter(owner=self.instance.owner_id, address=address)
        if known.exists():
            self.add_error("address", "You have a subscription with this address already.")


@admin.register(Subscription)
class SubscriptionAdmin(ModelAdmin):
    """An address is not changed: make another subscription. So a secret always belongs to the
    address that it was made for."""

    form = SubscriptionForm
    compressed_fields = True
    actions = None
    list_display = ("address", "channel", "owner", about, standing)
    list_filter = (("channel", ChoicesCheckboxFilter),)
    list_filter_submit = True
    list_select_related = ("owner",)
    search_fields = ("address", "owner__username")
    change_form_template = "admin/notices/subscription/change_form.html"
    fieldsets: Any = (
        (None, {"fields": ("owner", "channel", "address", "kinds", "is_active")}),
        (
            "How it goes",
            {"fields": (moment_column("created_at", "made"), moment_column("failing_since"),
                        moment_column("hold_until", "next attempt not before"))},
        ),
    )  # fmt: skip
    add_fieldsets: Any = ((None, {"fields": ("channel", "address", "kinds")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        found: QuerySet[Subscription] = super().get_queryset(request)
        return found if sees_all(request) else found.filter(owner=request.user.pk)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        if obj is None:
            return ()
        course = self.fieldsets[1][1]["fields"]
        return ("owner", "channel", "address", *course)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is not None:
            return form

        class MyForm(form):  # type: ignore[misc, valid-type]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.instance.owner_id = request.user.pk

        return MyForm

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (
            obj is None or manages(request, obj)
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (
            obj is None or manages(request, obj)
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        values, actor, now = form.cleaned_data, actor_of(request), timezone.now()
        if change:
            subscribing.change(obj, values, actor=actor, now=now)
            return
        made = subscribing.subscribe(
            obj.owner, obj.channel, obj.address, values["kinds"], actor=actor, now=now
        )
        obj.pk, obj.shown_once = made.pk, made.secret

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        subscribing.unsubscribe(obj, actor=actor_of(request), now=timezone.now())

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The record of what was sent there stays, so nothing else is deleted."""
        return [str(obj) for obj in objs], {}, set(), []

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: Any = None
    ) -> HttpResponse:
        """A secret stands on this page and nowhere else: no redirect, no message, no cache."""
        if not obj.shown_once:
            answer: HttpResponse = super().response_add(request, obj, post_url_continue)
            return answer
        context = {
            **self.admin_site.each_context(request),
            "title": "The webhook's secret",
            "opts": self.opts,
            "subscription": obj,
            "secret": obj.shown_once,
            "back": change_url(obj),
        }
        page: HttpResponse = never_cache(_as_is)(
            request, TemplateResponse(request, SECRET_PAGE, context)
        )
        return page

    # --- a test -----------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        test = self.admin_site.admin_view(require_POST(self.test_view))
        return [
            path("<int:pk>/test/", test, name="notices_subscription_test"),
            *super().get_urls(),
        ]

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        subscription = self.get_object(request, str(pk))
        if subscription is None or not self.has_change_permission(request, subscription):
            raise PermissionDenied
        try:
            subscribing.send_test(subscription, actor=actor_of(request), now=timezone.now())
        except Problem as problem:
            messages.warning(request, f"{problem.detail} Wait {problem.retry_after_s} s.")
        else:
            messages.success(request, "A test is on its way. How it goes is told below.")
        return HttpResponseRedirect(change_url(subscription))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        subscription = self.get_object(request, object_id)
        recent = subscription.deliveries.select_related("notice")[:10] if subscription else []
        extra = {
            "recent": [
                {"at": moment(one.notice.at), "delivery": one, "url": change_url(one),
                 "outcome": last_outcome(one)}
                for one in recent
            ],
            "may_test": bool(subscription and self.has_change_permission(request, subscription)),
        }  # fmt: skip
        page: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return page


def _as_is(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    return response


# --- the record ---------------------------------------------------------------------------


def last_outcome(delivery: Delivery) -> str:
    """How the last attempt went."""
    last = delivery.tries.order_by("-number").first()
    return _outcome(last) if last else GAP


def _outcome(attempt: Attempt) -> str:
    if not attempt.outcome:
        return "under way"
    code = f" ({attempt.status})" if attempt.status else ""
    return words(attempt.outcome) + code


def _text(delivery: Delivery) -> str:
    notice = delivery.notice
    if delivery.channel == Channel.WEBHOOK:
        return pretty_json(notice.content)
    return preformatted(contents.text_of(notice.subject, notice.content))


class AttemptInline(ReadOnlyInline):
    model = Attempt
    verbose_name_plural = "attempts"
    fields = (
        "number",
        moment_column("begun_at", "begun"),
        moment_column("ended_at", "ended"),
        column("outcome_text", "outcome", _outcome),
        value_column("answer", "answer", lambda text: text or GAP),
    )


state = state_column("state", STATE_COLOURS)


@admin.register(Delivery)
class DeliveryAdmin(BigTableAdmin):
    list_display = (
        "id",
        column("subject", "notice", lambda one: one.notice.subject),
        moment_column("notice.at", "at"),
        "channel",
        "address",
        state,
        "attempts",
    )
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        ("channel", ChoicesCheckboxFilter),
        ("notice__kind", ChoicesCheckboxFilter),
        ("notice__at", PeriodFilter),
    )
    list_select_related = ("notice",)
    search_fields = ("address__startswith",)
    search_help_text = "An address, or how it begins"
    inlines = (AttemptInline,)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    column("subject", "notice", lambda one: one.notice.subject),
                    link_column("notice.event", "event"),
                    "channel",
                    "address",
                    "owner",
                    state,
                    "attempts",
                    moment_column("notice.at", "at"),
                    moment_column("next_attempt_at", "next attempt"),
                    moment_column("settled_at", "settled"),
                )
            },
        ),
        ("What was told", {"fields": (column("text", "content", _text),)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        found: QuerySet[Delivery] = super().get_queryset(request).select_related("notice__event")
        return found if sees_all(request) else found.filter(owner=request.user.pk)


def _detail(trouble: Trouble) -> str:
    return lines([f"{words(name)}: {_listed(value)}" for name, value in trouble.detail.items()])


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@admin.register(Trouble)
class TroubleAdmin(ReadOnlyAdmin):
    """What is wrong now."""

    list_display = (
        "subject",
        column(
            "figure_text",
            "concerns",
            lambda one: f"{numeral(one.figure)}" if one.figure else "over",
        ),
        moment_column("since"),
        link_column("event"),
        moment_column("told_at", "last told"),
    )
    list_select_related = ("event",)
    fieldsets = ((None, {"fields": (*list_display, column("detail", "detail", _detail))}),)
