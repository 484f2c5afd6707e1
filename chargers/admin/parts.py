"""How the admin shows things: times with their zone, links, states, JSON.

The column factories make what `list_display` and `fieldsets` both take.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeAlias

import orjson
from django.db.models import Model
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from chargers.audit import Actor
from chargers.load import is_fresh
from chargers.models import as_limit
from chargers.wording import GAP, clock_text, limit_text, time_text, watts_text

WIDE = '<span class="ctl-name">{}</span>'
Column: TypeAlias = Callable[[Any], Any]


def actor_of(request: HttpRequest) -> Actor:
    """Whoever is logged in, and the address they act from."""
    name = request.user.get_username()
    return Actor(f"user:{name}", str(request.META.get("REMOTE_ADDR", "")))


def moment(time: datetime | None) -> str:
    """A time with its zone; UTC on hovering over it."""
    if time is None:
        return GAP
    return _moment(time)


def _moment(time: datetime, zone: tzinfo | None = None) -> str:
    date, _, clock = time_text(time, zone).partition(" ")
    return format_html(
        '<time datetime="{}" title="{}">{} <span class="whitespace-nowrap">{}</span></time>',
        time.isoformat(),
        time_text(time, UTC),
        date,
        clock,
    )


def moment_at(time: datetime | None, zone_name: str) -> str:
    """A time in the site's zone and, where that differs, in the gateway's."""
    if time is None:
        return GAP
    zone = zoneinfo.ZoneInfo(zone_name)
    if timezone.localtime(time).utcoffset() == time.astimezone(zone).utcoffset():
        return moment(time)
    return format_html("{} &nbsp;(here {})", _moment(time, zone), clock_text(time))


def meta_of(model: type[Model] | Model) -> Any:
    """Django documents `_meta` as public, its name notwithstanding."""
    return model._meta  # noqa: SLF001


def change_url(instance: Model) -> str:
    """The page of a thing."""
    meta = meta_of(instance)
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[instance.pk])


def list_url(model: type[Model], **filters: Any) -> str:
    """The list of a model, narrowed down: `list_url(Command, session__id__exact=5)`."""
    meta = meta_of(model)
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def link(instance: Model | None, text: object = "") -> str:
    """To the page of a thing."""
    if instance is None:
        return GAP
    return anchor(change_url(instance), text or instance)


def anchor(address: str, text: object) -> str:
    """A link to an address."""
    return format_html('<a href="{}" class="text-link">{}</a>', address, text)


def pretty_json(value: object) -> str:
    """JSON over several lines, as it would be typed."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
    return preformatted(text)


def preformatted(text: str) -> str:
    """A text with its own line breaks, of whatever length."""
    return format_html(
        '<pre class="bg-base-50 ctl-pre dark:bg-base-800 overflow-auto p-3 rounded-default'
        ' text-xs" tabindex="0">{}</pre>',
        text,
    )


def lines(texts: Sequence[str]) -> SafeString:
    """One below the other."""
    return format_html_join("", "<div>{}</div>", ((text,) for text in texts))


# --- columns ------------------------------------------------------------------------------


def column(
    name: str, description: str, show: Column, *, ordering: str | Combinable | None = None
) -> Column:
    """A callable for `list_display` and `fieldsets`. `name` becomes part of its CSS class."""

    def shown(instance: Any) -> Any:
        return show(instance)

    shown.__name__ = name
    shown.short_description = description  # type: ignore[attr-defined]
    if ordering:
        shown.admin_order_field = ordering  # type: ignore[attr-defined]
    return shown


def value_column(field: str, description: str, show: Callable[[Any], str]) -> Column:
    """One field, shown by `show`. `session.power_w` reaches into a related thing."""
    return column(
        field.replace(".", "_"),
        description,
        lambda instance: show(reach(instance, field)),
        ordering=field.replace(".", "__"),
    )


def draw_text(power_w: float | None, metered_at: datetime | None, *, now: datetime) -> str:
    """4,200 W; where the reading is too old to say so, a gap and what it was: – (4,200 W at
    14:59)."""
    if power_w is None or metered_at is None or is_fresh(metered_at, now=now):
        return watts_text(power_w)
    is_of_today = timezone.localdate(metered_at) == timezone.localdate(now)
    at = timezone.localtime(metered_at).strftime("%H:%M" if is_of_today else "%Y-%m-%d %H:%M")
    return f"{GAP} ({watts_text(power_w)} at {at})"


def quantity_column(field: str, description: str, show: Callable[[Any], str]) -> Column:
    """A number with its unit, kept together."""
    return value_column(field, description, lambda value: unbroken(show(value)))


def draw_column(field: str, description: str) -> Column:
    """What a session draws now; `field` is its `power_w`, or leads there."""
    metered_at = field.removesuffix("power_w") + "metered_at"

    def show(instance: Any) -> str:
        drawn = reach(instance, field), reach(instance, metered_at)
        return unbroken(draw_text(*drawn, now=timezone.now()))

    return column(field.replace(".", "_"), description, show, ordering=field.replace(".", "__"))


def unbroken(text: str) -> str:
    """Not to be parted at the end of a line."""
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def reach(instance: Any, path: str) -> Any:
    """`reach(command, "session.chargestation")`; None where the way ends early."""
    for name in path.split("."):
        if instance is None:
            return None
        instance = getattr(instance, name)
    return instance


def moment_column(field: str, description: str = "") -> Column:
    """One time, with its zone."""
    return value_column(field, description or field.replace("_", " "), moment)


def link_column(path: str, description: str = "") -> Column:
    """A link to a related thing, wide enough for a name to stand on two lines."""
    return column(
        f"{path.replace('.', '_')}_link",
        description or path.rpartition(".")[2],
        lambda instance: format_html(WIDE, link(reach(instance, path))),
        ordering=path.replace(".", "__"),
    )


def limit_column(prefix: str, description: str) -> Column:
    """A limit from its two fields, `<prefix>unit` and `<prefix>value`."""

    def show(instance: Any) -> str:
        unit, value = getattr(instance, f"{prefix}unit"), getattr(instance, f"{prefix}value")
        return unbroken(limit_text(as_limit(unit, value)))

    return column(f"{prefix}limit", description, show, ordering=f"{prefix}value")


def yes_no_column(field: str, description: str) -> Column:
    """A flag in a word: a red cross would cry wolf where "no" is as it should be."""
    return value_column(field, description, lambda flag: "yes" if flag else "no")


def state_column(field: str, variants: Mapping[str, str], description: str = "") -> Column:
    """A choice as a coloured label."""

    def show(instance: Any) -> str:
        text = getattr(instance, f"get_{field}_display")()
        return label(text, variants.get(getattr(instance, field), ""))

    return column(f"{field}_label", description or field, show, ordering=field)


# Not by its verbose_name: Django would capitalise it to "EDRV id".
edrv_id_column = value_column("external_id", "id at eDRV", str)


def label(text: str, variant: str = "") -> SafeString:
    """unfold's coloured label: info, success, warning, danger, primary or none."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "variant": variant})
