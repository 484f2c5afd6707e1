"""One e-mail, by Django's own mail settings."""

from __future__ import annotations

import smtplib
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage

from dr_events.notices.retries import Outcome

# Mail programs show a message that came twice once (RFC 5322, 3.6.4), and do not answer it
# automatically (RFC 3834).
HEADERS = {"Auto-Submitted": "auto-generated"}


def is_configured() -> bool:
    return bool(settings.EMAIL_IS_CONFIGURED)


def send(address: str, subject: str, text: str, *, notice_id: UUID) -> Outcome:
    """Send it, once. Every way in which that can go is an Outcome."""
    if not is_configured():
        return Outcome("no_mail_server", answer="EMAIL_URL is not set", permanent=True)
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ")
    message = EmailMessage(
        " ".join(subject.split()),
        text,
        to=[address],
        headers={**HEADERS, "Message-ID": f"<{notice_id}@{domain}>"},
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        return _refused(*next(iter(error.recipients.values())))
    except smtplib.SMTPResponseException as error:
        return _refused(error.smtp_code, error.smtp_error, is_about_recipient=False)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return Outcome("unreachable", answer=str(error)[:500])
    return Outcome("delivered")


def _refused(code: int, said: bytes | str, *, is_about_recipient: bool = True) -> Outcome:
    """5xx about a recipient is for good (RFC 5321, 4.2.1); about anything else, such as a log-in,
    an administrator can mend it."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return Outcome("refused", code, text[:500], permanent=is_about_recipient and code >= 500)
