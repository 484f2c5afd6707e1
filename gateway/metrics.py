"""/metrics for Prometheus: read from the database at each scrape, so every process tells the same
and nothing is lost with a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from chargers import counters, webhooks
from chargers.models import Command, Session, WebhookDelivery
from dr_events.models import Event
from dr_events.notices.models import Delivery
from gateway import health


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """GET /metrics, in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class GatewayCollector:
    """Collects once a scrape. With the database away there are the checks, which say so, and the
    counts that Redis keeps."""

    def collect(self) -> Iterator[Metric]:
        checks = health.run_checks(now=timezone.now())
        yield from _checks(checks)
        if checks["database"].ok:
            yield from self._from_database()
        yield from _counters()

    def _from_database(self) -> Iterator[Metric]:
        yield _events()
        yield _sessions()
        yield _unsettled_commands()
        yield _unapplied_deliveries()
        yield _due_notices()


def _checks(checks: Mapping[str, health.Check]) -> Iterator[Metric]:
    ok = GaugeMetricFamily("dr_check_ok", "1 where a readiness check is ok", labels=["check"])
    seconds = GaugeMetricFamily(
        "dr_check_seconds", "The age or delay a readiness check looks at", labels=["check"]
    )
    for name, check in checks.items():
        ok.add_metric([name], float(check.ok))
        if check.seconds is not None:
            seconds.add_metric([name], check.seconds)
    yield ok
    yield seconds


def _events() -> Metric:
    gauge = GaugeMetricFamily("dr_events", "Events that are not over, by status", labels=["status"])
    found = Event.objects.filter(status__in=Event.UNFINISHED).order_by()
    counted = dict(found.values_list("status").annotate(Count("id")))
    for status in Event.UNFINISHED:
        gauge.add_metric([status], counted.get(status, 0))
    return gauge


def _sessions() -> Metric:
    gauge = GaugeMetricFamily("dr_sessions", "Open sessions", labels=["limited"])
    counted = dict(
        Session.objects.filter(ended_at=None)
        .order_by()
        .values_list("may_be_limited")
        .annotate(Count("id"))
    )
    gauge.add_metric(["yes"], counted.get(True, 0))
    gauge.add_metric(["no"], counted.get(False, 0))
    return gauge


def _unsettled_commands() -> Metric:
    gauge = GaugeMetricFamily("dr_commands", "Unsettled commands, by state", labels=["state"])
    found = Command.objects.filter(state__in=Command.UNSETTLED).order_by()
    counted = dict(found.values_list("state").annotate(Count("id")))
    for state in Command.UNSETTLED:
        gauge.add_metric([state], counted.get(state, 0))
    return gauge


def _unapplied_deliveries() -> Metric:
    gauge = GaugeMetricFamily(
        "dr_webhook_deliveries", "Stored webhooks not applied yet, by state", labels=["state"]
    )
    state = WebhookDelivery.State
    for name in (state.PENDING, state.WAITING, state.FAILED):
        gauge.add_metric([name], WebhookDelivery.objects.filter(state=name).count())
    return gauge


def _due_notices() -> Metric:
    """The notifier tells of all other trouble; that it stands nobody else would say."""
    due = Delivery.objects.filter(state=Delivery.State.DUE, next_attempt_at__lte=timezone.now())
    return GaugeMetricFamily("dr_notices_due", "Notices whose time has come", value=due.count())


def _counters() -> Iterator[Metric]:
    families = {
        "webhook_refused": CounterMetricFamily(
            "dr_webhooks_refused", "Webhooks refused and not stored", labels=["reason"]
        ),
        "webhook_applied": CounterMetricFamily(
            "dr_webhooks_applied", "Webhooks taken from the inbox, by fate", labels=["state"]
        ),
        "attempt": CounterMetricFamily(
            "dr_attempts", "Requests to eDRV for commands, by outcome", labels=["outcome"]
        ),
    }
    counts = counters.all_counts()
    if counts is not None:
        for (name, label), count in {**_NEVER_YET, **counts}.items():
            if name in families:
                families[name].add_metric([label], count)
    yield from families.values()


# What an alarm looks at has to be there before the first time: from nothing to one is no rate.
_NEVER_YET = {("webhook_refused", reason): 0 for reason in webhooks.REFUSALS}
