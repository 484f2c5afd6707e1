"""Who may call the REST interface."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower
from oauth2_provider.models import AbstractApplication


class ApiClient(AbstractApplication):
    """An OAuth2 client with the scopes it may ask for, separated by spaces."""

    scopes = models.CharField(max_length=300)

    class Meta(AbstractApplication.Meta):
        verbose_name = "API client"
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), name="api_client_name_once_in_any_case"),
        ]

    @property
    def scope_list(self) -> list[str]:
        return self.scopes.split()
