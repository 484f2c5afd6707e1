"""Deliveries on their way: to a real HTTP server, and into Django's own mailbox."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core import mail as mailbox
from django.utils import timezone
from standardwebhooks import Webhook

from chargers.models import AuditEntry
from dr_events.notices import sending, telling
from dr_events.notices.models import Attempt, Delivery, Notice, Subscription
from tests.admin.support import make_subscription
from tests.dr_events import story
from tests.notices.receiver import Receiver, listening

pytestmark = pytest.mark.django_db


def tell(subscription: Subscription, subject: str = "A test") -> Delivery:
    content = {"type": "test", "timestamp": "2026-07-01T18:00:00Z", "data": {"by": "user:anna"}}
    notice = telling.write("test", subject, content, [subscription], now=timezone.now())
    return notice.deliveries.get()


def turn() -> int:
    return sending.turn(now=timezone.now())


def state(delivery: Delivery) -> tuple[str, int]:
    delivery.refresh_from_db()
    return delivery.state, delivery.attempts


def outcomes(delivery: Delivery) -> list[str]:
    return list(delivery.tries.values_list("outcome", flat=True))


@pytest.fixture
def hook(anna: User, receiver: Receiver) -> Subscription:
    return make_subscription(anna, address=receiver.url)


# --- webhooks -----------------------------------------------------------------------------


def test_a_webhook_is_one_that_the_reference_library_verifies(
    hook: Subscription, receiver: Receiver
) -> None:
    delivery = tell(hook)

    assert turn() == 1

    [(headers, body)] = receiver.received
    assert Webhook(hook.secret).verify(body, headers) == delivery.notice.content
    assert headers["content-type"] == "application/json"
    assert (state(delivery), outcomes(delivery)) == (("delivered", 1), ["delivered"])
    assert turn() == 0


def test_an_event_s_webhook_has_the_recommended_form(
    anna: User, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    make_subscription(anna, address=receiver.url, kinds=["started"])
    event = story.declare(external_id="F12-0142")

    turn()

    said = json.loads(receiver.received[0][1])
    assert (said["type"], said["timestamp"]) == ("event.started", "2026-07-01T18:00:00Z")
    assert said["data"]["event"]["id"] == str(event.pk)
    assert said["data"]["event"]["external_id"] == "F12-0142"
    assert said["data"]["event"]["targets"] == [{"type": "feeder", "value": "F12"}]


def test_the_same_message_keeps_its_id_and_gets_a_new_time(
    hook: Subscription, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    receiver.status = 500
    delivery = tell(hook)

    turn()
    assert state(delivery) == ("due", 1)
    assert turn() == 0
    clock.shift(10)
    receiver.status = 200
    assert turn() == 1

    (first, body), (second, body_again) = receiver.received
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 10
    assert body == body_again
    assert (state(delivery), outcomes(delivery)) == (("delivered", 2), ["failed", "delivered"])


def test_a_redirect_is_not_followed(hook: Subscription, receiver: Receiver) -> None:
    with listening() as elsewhere:
        receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
        delivery = tell(hook)

        turn()

    assert elsewhere.received == []
    assert outcomes(delivery) == ["redirected"]


def test_a_receiver_that_is_gone_for_good_is_switched_off(
    hook: Subscription, receiver: Receiver
) -> None:
    receiver.status = 410
    delivery, second = tell(hook), tell(hook)

    turn()

    hook.refresh_from_db()
    assert not hook.is_active
    assert state(delivery) == state(second) == ("given_up", 1)
    assert AuditEntry.objects.filter(action="subscription.gone").count() == 1


def test_of_an_endless_answer_only_the_beginning_is_kept(
    hook: Subscription, receiver: Receiver
) -> None:
    receiver.status, receiver.body = 400, b"no\0 " * 100_000
    delivery = tell(hook)

    turn()

    attempt = delivery.tries.get()
    assert attempt.status == 400
    assert 0 < len(attempt.answer) <= 500
    assert "\0" not in attempt.answer


def test_a_receiver_that_takes_its_time_is_not_waited_for(
    hook: Subscription, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dr_events.notices.post.TIMEOUT_S", 0.3)
    receiver.released.clear()
    delivery = tell(hook)

    turn()

    assert outcomes(delivery) == ["no_answer_in_time"]


def test_nobody_there_is_told_and_tried_again(anna: User) -> None:
    delivery = tell(make_subscription(anna, address="http://127.0.0.1:1/"))

    turn()

    assert (state(delivery), outcomes(delivery)) == (("due", 1), ["unreachable"])


@pytest.mark.parametrize(
    "address", ["https://localhost:1/", "https://2130706433/", "https://127.1/", "https://[::1]/"]
)
def test_a_name_for_this_machine_is_not_reached(anna: User, settings: Any, address: str) -> None:
    settings.PLAIN_HTTP = False
    delivery = tell(make_subscription(anna, address=address))

    turn()

    assert (state(delivery), outcomes(delivery)) == (("given_up", 1), ["address_refused"])


def test_a_name_that_means_this_machine_by_now_is_not_reached(
    anna: User, receiver: Receiver, settings: Any
) -> None:
    settings.NOTIFY_PRIVATE_ADDRESSES, settings.PLAIN_HTTP = True, False
    address = receiver.url.replace("127.0.0.1", "localhost").replace("http:", "https:")
    delivery = tell(make_subscription(anna, address=address))

    turn()

    assert receiver.received == []
    assert outcomes(delivery) == ["address_refused"]


def test_a_server_without_a_trusted_certificate_gets_nothing(
    anna: User, receiver: Receiver
) -> None:
    delivery = tell(make_subscription(anna, address=receiver.url.replace("http:", "https:")))

    turn()

    assert receiver.received == []
    assert outcomes(delivery) in (["tls_failed"], ["unreachable"])


# --- fairness, crashes --------------------------------------------------------------------


def test_what_piles_up_for_one_address_keeps_no_other_waiting(
    hook: Subscription, receiver: Receiver, anna: User
) -> None:
    receiver.status = 503
    for _ in range(30):
        tell(hook)
    with listening() as other:
        delivery = tell(make_subscription(anna, address=other.url))

        assert turn() == sending.TO_ONE + 1

        assert state(delivery) == ("delivered", 1)


def test_an_attempt_that_has_ended_is_on_record_while_another_is_still_under_way(
    hook: Subscription, receiver: Receiver, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dr_events.notices.post.TIMEOUT_S", 2)
    recorded = sending.record

    def record(*args: Any, **kwargs: Any) -> None:
        recorded(*args, **kwargs)
        slow.released.set()

    monkeypatch.setattr(sending, "record", record)
    with listening() as slow:
        slow.released.clear()
        late = tell(make_subscription(anna, address=slow.url))
        early = tell(hook)

        turn()

    assert (outcomes(early), outcomes(late)) == (["delivered"], ["delivered"])


def test_an_address_that_fails_is_asked_again_with_one(
    hook: Subscription, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    receiver.status = 503
    for _ in range(10):
        tell(hook)
    turn()
    assert turn() == 0

    clock.shift(timedelta(minutes=11))
    assert turn() == 1
    clock.shift(timedelta(minutes=11))
    receiver.status = 204
    assert turn() == 1
    assert turn() == sending.TO_ONE

    hook.refresh_from_db()
    assert (hook.failing_since, hook.hold_until) == (None, None)


def test_a_worker_that_died_costs_a_lease(
    hook: Subscription, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    delivery = tell(hook)
    sending.claim(now=timezone.now())

    assert turn() == 0
    clock.shift(sending.LEASE)
    assert turn() == 1

    assert (state(delivery), outcomes(delivery)) == (("delivered", 2), ["lost", "delivered"])


def test_a_late_failure_does_not_move_what_a_later_attempt_is_doing(
    hook: Subscription, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    delivery = tell(hook)
    [late] = sending.claim(now=timezone.now())
    clock.shift(sending.LEASE)
    sending.claim(now=timezone.now())
    delivery.refresh_from_db()
    lease = delivery.next_attempt_at

    sending.record(late, sending.Outcome("failed", 500), jitter=1, now=timezone.now())

    delivery.refresh_from_db()
    assert (delivery.state, delivery.next_attempt_at) == ("due", lease)


def test_after_a_day_nobody_is_told_any_more(
    hook: Subscription, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    delivery = tell(hook)
    clock.shift(timedelta(hours=24))

    assert turn() == 0

    assert (state(delivery), receiver.received) == (("given_up", 0), [])


def test_what_nobody_wants_any_more_is_dropped_and_stays_on_record(
    hook: Subscription, receiver: Receiver
) -> None:
    delivery = tell(hook)
    hook.delete()

    assert turn() == 0

    assert (state(delivery), receiver.received) == (("dropped", 0), [])
    assert delivery.address == receiver.url


def test_a_secret_is_in_no_log_and_no_record(
    hook: Subscription, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 500
    tell(hook)

    turn()

    kept = [*Attempt.objects.values(), *Notice.objects.values(), *AuditEntry.objects.values()]
    assert "notice.not_delivered" in caplog.text
    assert hook.secret not in caplog.text + str(kept)


# --- e-mail -------------------------------------------------------------------------------


@pytest.fixture
def mailed(anna: User, settings: Any) -> Subscription:
    settings.EMAIL_IS_CONFIGURED = True
    return make_subscription(anna, channel="email", address="anna@example.com", secret="")


def test_an_event_s_e_mail_says_what_happened_and_where_to_look(
    mailed: Subscription, settings: Any, clock: time_machine.Traveller
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.com", "https://dr.example.com"]
    Subscription.objects.update(kinds=["started"])
    event = story.declare(reason="T4 at 105 %")

    turn()

    [message] = mailbox.outbox
    assert message.subject == "Started: Feeder F12 overload"
    assert message.to == ["anna@example.com"]
    for line in (
        "reason: T4 at 105 %",
        "limit: 4,200 W, per session",
        "targets: feeder F12",
        "starts at: 2026-07-01 18:00:00 UTC",
        f"url: https://dr.example.com/admin/dr_events/event/{event.pk}/change/",
    ):
        assert line in message.body.splitlines()


def test_an_e_mail_that_comes_twice_can_be_told_to_be_the_same(
    mailed: Subscription, clock: time_machine.Traveller
) -> None:
    tell(mailed)
    [lost] = sending.claim(now=timezone.now())
    clock.shift(sending.MAIL_LEASE)
    turn()

    [message] = mailbox.outbox
    assert message.extra_headers["Message-ID"] == f"<{lost.notice_id}@localhost>"
    assert message.extra_headers["Auto-Submitted"] == "auto-generated"


def test_no_e_mail_is_claimed_before_it_can_be_sent_nor_again_while_it_is_being_sent(
    anna: User, hook: Subscription, clock: time_machine.Traveller
) -> None:
    hooked = [tell(hook), tell(hook)]
    for number in range(2 * sending.MAILS + 1):
        tell(make_subscription(anna, channel="email", address=f"{number}@example.com", secret=""))

    first = sending.claim(now=timezone.now())
    clock.shift(sending.MAIL_LEASE - timedelta(seconds=1))
    second = sending.claim(now=timezone.now())

    assert {one.pk for one in hooked} < {one.delivery_id for one in first}
    mails = [
        {one.delivery_id for one in claims if one.channel == "email"} for claims in (first, second)
    ]
    assert [len(ids) for ids in mails] == [sending.MAILS, sending.MAILS]
    assert mails[0].isdisjoint(mails[1])


def test_no_name_of_an_event_adds_a_header(mailed: Subscription) -> None:
    delivery = tell(mailed, "Overload\r\nBcc: everybody@example.com")

    turn()

    [message] = mailbox.outbox
    assert state(delivery) == ("delivered", 1)
    assert message.recipients() == ["anna@example.com"]
    assert message.message()["Bcc"] is None


def test_without_a_mail_server_an_e_mail_is_given_up(mailed: Subscription, settings: Any) -> None:
    settings.EMAIL_IS_CONFIGURED = False
    delivery = tell(mailed)

    turn()

    assert (state(delivery), outcomes(delivery)) == (("given_up", 1), ["no_mail_server"])


def test_the_idle_turn_asks_the_database_no_more_with_a_long_record(
    hook: Subscription, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        tell(hook)
    while turn():
        pass

    with django_assert_max_num_queries(6):
        assert turn() == 0
