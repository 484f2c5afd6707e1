"""A client for the REST interface."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone
from oauth2_provider.generators import generate_client_secret
from oauth2_provider.settings import oauth2_settings

from chargers import audit
from gateway.clients import ClientName
from gateway.models import ApiClient

SCOPES: dict[str, str] = oauth2_settings.SCOPES


class Command(BaseCommand):
    help = (
        "Create an OAuth2 client for the REST interface and print its id and secret as JSON. "
        "The secret is shown this once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="who the client is, such as scada")
        parser.add_argument(
            "--scope",
            dest="scopes",
            nargs="+",
            action="extend",
            required=True,
            metavar="SCOPE",
            help=f"one or more of: {', '.join(SCOPES)}",
        )

    def handle(self, *args: Any, name: str, scopes: list[str], **options: Any) -> None:
        name = _read_name(name)
        wanted = _read_scopes(scopes)
        secret = generate_client_secret()
        client = _create(name, " ".join(dict.fromkeys(wanted)), secret)
        self.stdout.write(
            json.dumps(
                {
                    "name": client.name,
                    "client_id": client.client_id,
                    "client_secret": secret,
                    "scope": client.scopes,
                }
            )
        )


@transaction.atomic
def _create(name: str, scopes: str, secret: str) -> ApiClient:
    client: ApiClient = ApiClient.objects.create(
        name=name,
        scopes=scopes,
        client_type=ApiClient.CLIENT_CONFIDENTIAL,
        authorization_grant_type=ApiClient.GRANT_CLIENT_CREDENTIALS,
        client_secret=secret,
    )
    audit.record(
        audit.shell_actor(),
        "apiclient.added",
        at=timezone.now(),
        subject="apiclient",
        subject_ids=[client.pk],
        after={"names": [name], "scopes": scopes},
    )
    return client


def _read_name(said: str) -> str:
    try:
        return ClientName().clean(said)
    except ValidationError as error:
        raise CommandError(f"name: {' '.join(error.messages)}") from error


def _read_scopes(said: list[str]) -> list[str]:
    wanted = [word for given in said for word in given.replace(",", " ").split()]
    unknown = sorted(set(wanted) - set(SCOPES))
    if unknown:
        raise CommandError(f"--scope: unknown: {', '.join(unknown)}")
    if not wanted:
        raise CommandError("--scope: names none")
    return wanted
