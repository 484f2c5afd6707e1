"""Whatever is in a list comes back from PostgreSQL as it was."""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from uuid import uuid4

import psycopg
import pytest
from django.db import DataError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from chargers import sql

ZONE = timezone(timedelta(hours=-3, minutes=-30))
# Hypothesis wants bounds without a zone.
FIRST, LAST = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001
TIMES = st.datetimes(FIRST, LAST, timezones=st.just(ZONE))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ELEMENTS = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "float8": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "text": TEXTS,
    "timestamptz": TIMES,
    "interval": st.timedeltas(timedelta(days=-999), timedelta(days=999)),
    "uuid": st.uuids(),
    "bytea": st.binary(),
}


def returned(type_, values):
    return sql.rows(f"SELECT unnest(%s::{type_}[]) AS element", [values])


class ThereAndBack(TestCase):
    @given(st.data())
    def test_every_type_with_gaps(self, data):
        type_ = data.draw(st.sampled_from(sorted(ELEMENTS)))
        values = data.draw(st.lists(st.none() | ELEMENTS[type_], max_size=20))

        assert [row["element"] for row in returned(type_, values)] == values


class Side(StrEnum):
    LEFT = 'le"ft'
    RIGHT = "right"


@pytest.mark.django_db
def test_what_looks_like_the_literal_s_own_signs_is_text():
    odd = ["NULL", "null", "", " ", "{}", "{a,b}", "a,b", '"', '\\"', "\\", "'", "';--", "é€😀"]

    assert [row["element"] for row in returned("text", [*odd, Side.LEFT])] == [*odd, 'le"ft']


@pytest.mark.django_db
def test_nothing_is_to_be_escaped_in_most_columns_of_texts():
    plain = ["NULL", "null", "", " ", "{}", "{a,b}", "a,b", "'", "';--", "é€😀", "a\nb"]

    assert [row["element"] for row in returned("text", plain)] == plain
    assert [row["element"] for row in returned("text", [""])] == [""]
    assert [row["element"] for row in returned("text", [*plain, Side.RIGHT])] == [*plain, "right"]


@pytest.mark.django_db
def test_a_whole_number_may_stand_among_others():
    assert [row["element"] for row in returned("float8", [1, 2.5, None])] == [1.0, 2.5, None]


@pytest.mark.django_db
@pytest.mark.parametrize("list_", [[[1], [2]], [{"a": 1}]])
def test_what_it_does_not_know_is_refused(list_):
    with pytest.raises((TypeError, psycopg.ProgrammingError)):
        returned("text", list_)


@pytest.mark.django_db
def test_a_nul_is_refused_as_psycopg_would():
    with pytest.raises((DataError, psycopg.DataError)):
        returned("text", ["a\0b"])


@pytest.mark.django_db
def test_a_list_of_small_numbers_is_looked_up_by_hash():
    """By `int4[]` each row would be compared with each number."""
    now = datetime.now(UTC)
    assert sql.texts(
        "SELECT pg_typeof(ARRAY[id] || %s)::text FROM (SELECT 1::bigint AS id) AS one", [[1, 2]]
    ) == ["bigint[]"]
    assert sql.rows("SELECT %s::timestamptz = ANY(%s) AS found", [now, [now]]) == [{"found": True}]
    assert sql.rows("SELECT %s::uuid = ANY(%s) AS found", [uuid4(), []]) == [{"found": False}]
