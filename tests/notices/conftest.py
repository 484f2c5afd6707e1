"""Who is told, and where they hear it. It is six in the evening of 1 July 2026."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.admin.conftest import log_in, operator, root
from tests.fleet import NOW
from tests.notices.receiver import Receiver, listening

__all__ = ["log_in", "operator", "root"]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Stands still unless it is moved."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as found:
        yield found


@pytest.fixture
def anna(db: None) -> User:
    return person("anna")


def person(name: str, role: str = "operator") -> User:
    """Somebody in a role."""
    user = User.objects.create(username=name, is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    return user


LogIn = Callable[[str], Client]
