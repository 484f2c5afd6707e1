"""Somebody logged in, at six in the evening of 1 July 2026."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.fleet import NOW


@pytest.fixture(autouse=True)
def _at_six() -> Iterator[None]:
    with time_machine.travel(NOW, tick=True):
        yield


@pytest.fixture
def log_in(db: None) -> Callable[[str], Client]:
    """A browser of somebody in a role; `nobody` has none, `root` is a superuser."""

    def make(role: str) -> Client:
        user = User.objects.create(username=role, is_staff=True, is_superuser=role == "root")
        user.groups.set(Group.objects.filter(name=role))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def root(log_in: Callable[[str], Client]) -> Client:
    return log_in("root")


@pytest.fixture
def operator(log_in: Callable[[str], Client]) -> Client:
    return log_in("operator")
