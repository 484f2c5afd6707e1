"""E-mail through a real SMTP server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from django.contrib.auth.models import User

from tests.admin.support import make_subscription
from tests.gateway_process import free_port
from tests.notices.test_sending import outcomes, state, tell, turn

pytestmark = pytest.mark.django_db


class Post:
    """Takes every message, but for recipients it does not know."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's own name)
        self, server: Any, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 (aiosmtpd's own name)
        self, server: Any, session: Any, envelope: Envelope
    ) -> str:
        self.taken.append(envelope)
        return "250 taken"


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    handler, port = Post(), free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_IS_CONFIGURED = True
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    yield handler
    controller.stop()


def test_a_notice_arrives_as_a_plain_message(post: Post, anna: User) -> None:
    mailed = make_subscription(anna, channel="email", address="anna@example.com", secret="")
    delivery = tell(mailed, "Überlast an Abgang F12")

    turn()

    [envelope] = post.taken
    assert state(delivery) == ("delivered", 1)
    assert envelope.rcpt_tos == ["anna@example.com"]
    assert isinstance(envelope.content, bytes)
    assert b"=?utf-8?q?=C3=9Cberlast_an_Abgang_F12?=" in envelope.content


def test_an_unknown_mailbox_is_given_up_with_the_server_s_words(post: Post, anna: User) -> None:
    mailed = make_subscription(anna, channel="email", address="nobody@example.com", secret="")
    delivery = tell(mailed)

    turn()

    attempt = delivery.tries.get()
    assert state(delivery) == ("given_up", 1)
    assert (attempt.status, attempt.answer) == (550, "5.1.1 no such mailbox")


def test_a_mail_server_that_is_away_is_tried_again(anna: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_IS_CONFIGURED = True
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    mailed = make_subscription(anna, channel="email", address="anna@example.com", secret="")
    delivery = tell(mailed)

    turn()

    assert (state(delivery), outcomes(delivery)) == (("due", 1), ["unreachable"])
