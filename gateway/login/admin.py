"""The log of log-ins: read, and nothing else."""

from __future__ import annotations

from django.contrib import admin
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.contrib.filters.admin import ChoicesCheckboxFilter

from chargers.admin.pages import BigTableAdmin, PeriodFilter
from chargers.admin.parts import moment_column, state_column, value_column
from chargers.wording import GAP
from gateway.login.models import LogIn

# Their pages would show the keys.
admin.site.unregister(TOTPDevice)
admin.site.unregister(StaticDevice)

COLOURS = {
    "succeeded": "info",
    "code_accepted": "success",
    "recovery_code": "warning",
    "failed": "danger",
    "code_refused": "danger",
    "throttled": "danger",
}


@admin.register(LogIn)
class LogInAdmin(BigTableAdmin):
    list_display = (
        moment_column("at"),
        value_column("username", "user", lambda name: name or GAP),
        state_column("outcome", COLOURS),
        "method",
        "address",
        value_column("note", "note", lambda note: note or GAP),
    )
    list_filter = (
        ("outcome", ChoicesCheckboxFilter),
        ("method", ChoicesCheckboxFilter),
        ("at", PeriodFilter),
    )
    search_fields = ("username__startswith", "address__startswith")
    search_help_text = "A user or an address, or how it begins"
    fieldsets = ((None, {"fields": (*list_display, "browser")}),)
