"""What the tests of the wiring share: the log as it is written."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.logs import logging_config


@pytest.fixture
def written_to() -> Iterator[Callable[[bool], str]]:
    """The log from here on, as it is written to a console or (False) in production."""
    streams = {console: io.StringIO() for console in (True, False)}
    handlers = [_handler(stream, console) for console, stream in streams.items()]
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    yield lambda console: streams[console].getvalue()
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


def _handler(stream: io.StringIO, console: bool) -> logging.Handler:
    config = logging_config(console=console)
    configurator = logging.config.DictConfigurator(config)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(configurator.configure_formatter(config["formatters"]["structured"]))
    return handler


@pytest.fixture
def log_lines(written_to: Callable[[bool], str]) -> Callable[[], list[dict[str, Any]]]:
    """Each line of production's log, as the object it is."""
    return lambda: [json.loads(line) for line in written_to(False).splitlines()]
