"""A client of the REST interface that may do everything."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.clients import Api, create_client


@pytest.fixture
def api(client: Client, capsys: pytest.CaptureFixture[str]) -> Api:
    return Api(client, create_client(capsys, "scada"))
