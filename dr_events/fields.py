"""Serializer fields that take a value for what it is: no "4200" for 4200, no local time."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import isodate
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.settings import api_settings

MAX_DURATION = timedelta(days=366)
MAX_WINDOW = timedelta(days=1)
MOST_UNKNOWN = 10


class Text(serializers.CharField):
    """A string that says something, of characters PostgreSQL can hold."""

    default_error_messages = {"not_a_string": "must be a string", "blank": "must not be empty"}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_a_string")
        return super().to_internal_value(data)


class Number(serializers.FloatField):
    """A finite JSON number."""

    default_error_messages = {
        "not_a_number": "must be a number",
        "not_finite": "must be a finite number",
    }

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("not_a_number")
        try:
            number = float(data)
        except OverflowError:
            self.fail("not_finite")
        if not math.isfinite(number):
            self.fail("not_finite")
        return number


class WholeNumber(serializers.IntegerField):
    """A JSON integer."""

    default_error_messages = {"not_an_integer": "must be an integer"}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("not_an_integer")
        return super().to_internal_value(data)


class Choice(serializers.ChoiceField):
    """One of its words, which are told to whoever gives another."""

    def __init__(self, choices: Any, **settings: Any) -> None:
        super().__init__(choices, **settings)
        words = ", ".join(self.choices)
        self.error_messages["invalid_choice"] = f'"{{input}}" is none of {words}'


class Flag(serializers.BooleanField):
    """true or false."""

    default_error_messages = {"not_a_boolean": "must be true or false"}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("not_a_boolean")
        return data


@extend_schema_field(OpenApiTypes.DATETIME)
class Instant(serializers.Field[datetime, str, str, Any]):
    """An ISO 8601 time with its offset, as UTC."""

    default_error_messages = {
        "not_a_time": "must be a time such as 2026-07-01T17:00:00+02:00",
        "naive": "needs an offset from UTC, such as Z or +02:00",
    }

    def to_internal_value(self, data: Any) -> datetime:
        if not isinstance(data, str):
            self.fail("not_a_time")
        try:
            time = datetime.fromisoformat(data.strip())
        except ValueError:
            self.fail("not_a_time")
        if time.tzinfo is None:
            self.fail("naive")
        try:
            return time.astimezone(UTC)
        except OverflowError:
            self.fail("not_a_time")

    def to_representation(self, value: datetime) -> str:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


@extend_schema_field({"type": "string", "format": "duration", "examples": ["PT45M"]})
class Duration(serializers.Field[timedelta, str, str, Any]):
    """An ISO 8601 duration of fixed length, more than nothing and at most 366 days."""

    default_error_messages = {
        "not_a_duration": "must be an ISO 8601 duration such as PT45M",
        "no_fixed_length": "months and years have no fixed length; use days or smaller",
        "out_of_range": "must be more than nothing and at most 366 days",
    }

    def to_internal_value(self, data: Any) -> timedelta:
        if not isinstance(data, str):
            self.fail("not_a_duration")
        try:
            duration = isodate.parse_duration(data)
        except (isodate.ISO8601Error, ValueError, OverflowError, ArithmeticError):
            self.fail("not_a_duration")
        if isinstance(duration, isodate.Duration):
            self.fail("no_fixed_length")
        fixed: timedelta = duration
        self.check_range(fixed)
        return fixed

    def check_range(self, duration: timedelta) -> None:
        if not timedelta(0) < duration <= MAX_DURATION:
            self.fail("out_of_range")

    def to_representation(self, value: timedelta) -> str:
        return str(isodate.duration_isoformat(value))


@extend_schema_field({"type": "string", "format": "duration", "examples": ["-PT5M"]})
class SignedDuration(Duration):
    """An ISO 8601 duration of fixed length, of either sign and at most a day."""

    default_error_messages = {"out_of_range": "must be from -P1D to P1D"}

    def check_range(self, duration: timedelta) -> None:
        if not -MAX_WINDOW <= duration <= MAX_WINDOW:
            self.fail("out_of_range")


class Strict(serializers.Serializer[Any]):
    """A JSON object that refuses members it does not know: a misspelt `durration` must not make
    an event endless."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = [str(name) for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError(
                    {**self._known_errors(data), **_unknown_errors(unknown)}
                )
        return super().to_internal_value(data)

    def _known_errors(self, data: dict[str, Any]) -> dict[str, Any]:
        try:
            super().to_internal_value({name: data[name] for name in data if name in self.fields})
        except serializers.ValidationError as error:
            return dict(error.detail) if isinstance(error.detail, dict) else {}
        return {}


def _unknown_errors(names: list[str]) -> dict[str, Any]:
    """The first few by name: a body can hold a hundred thousand of them."""
    told = dict.fromkeys(names[:MOST_UNKNOWN], "is not known here")
    if more := len(names[MOST_UNKNOWN:]):
        told[api_settings.NON_FIELD_ERRORS_KEY] = f"{more} more members are not known here"
    return {
        name: [serializers.ErrorDetail(text, code="unknown_field")] for name, text in told.items()
    }
