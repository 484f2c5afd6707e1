"""How rest_framework reads and answers here: JSON and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class StrictJsonParser(BaseParser):
    """RFC 8259: UTF-8, no depth without end."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read()
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return _with_impossible_numbers(body, error)


def _with_impossible_numbers(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """NaN and numbers beyond 64 bits are read all the same, so that the field they stand in can
    be named by whoever refuses them. Half of a surrogate pair is JSON as well, but could not even
    be named: no answer can hold it."""
    try:
        found = json.loads(body.decode())
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as half:
        named = ascii(half.object[half.start])
        raise ParseError(f"{named} is half of a character") from half
    except (ValueError, RecursionError):
        raise ParseError(f"not JSON ({error})") from error
    return found


class AlwaysJson(BaseContentNegotiation):
    """Whatever the client says it accepts: there is one representation."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)
