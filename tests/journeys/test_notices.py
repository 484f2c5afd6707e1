"""Somebody is told of an event by a whole gateway: real processes, a real receiver."""

from __future__ import annotations

import json
from pathlib import Path

from standardwebhooks import Webhook

from dr_events.notices.signing import new_secret
from tests.gateway_process import Gateway
from tests.notices.receiver import listening
from tests.simulation import Simulation
from tests.waiting import wait_until

SUBSCRIBE = """
from django.contrib.auth.models import User
from django.utils import timezone
from dr_events.notices.models import Kind, Subscription
root, _ = User.objects.get_or_create(username="root", is_superuser=True)
Subscription.objects.create(owner=root, channel="webhook", address="{url}", secret="{secret}",
                            kinds=Kind.values, created_at=timezone.now())
"""


def test_an_event_is_told_while_another_receiver_hangs(tmp_path: Path) -> None:
    secret = new_secret()
    with (
        Simulation("--sites", "1", "--sessions", "4", "--static", "--seed", "3") as edrv,
        listening() as prompt,
        listening() as hanging,
        Gateway(edrv, tmp_path) as gateway,
    ):
        hanging.released.clear()
        for url in (prompt.url, hanging.url):
            gateway.command("shell", "-c", SUBSCRIBE.format(url=url, secret=secret))
        event = gateway.declare()
        gateway.wait_until_answered(event["id"])
        gateway.end(event["id"])
        gateway.wait_for_status(event["id"], "completed")

        def told() -> list[str]:
            return [json.loads(body)["type"] for _, body in prompt.received]

        wait_until(lambda: "event.restored" in told(), within_s=30)
        assert hanging.received
        for headers, body in prompt.received:
            assert Webhook(secret).verify(body, headers)
        assert sorted(told()) == [
            "event.declared",
            "event.ended",
            "event.restored",
            "event.started",
        ]
