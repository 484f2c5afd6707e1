"""Environment variables: read as meant, or refused by name."""

from datetime import date

import pytest

from gateway.environment import BadVariable, Environment


def read(method, said, *arguments, **more):
    return getattr(Environment({"NAME": said}), method)("NAME", *arguments, **more)


@pytest.mark.parametrize(
    ("method", "said", "arguments", "more", "value"),
    [
        ("text", " a b ", (), {}, "a b"),
        ("text", "$OTHER", (), {}, "$OTHER"),
        ("flag", "True", (False,), {}, True),
        ("flag", "off", (True,), {}, False),
        ("whole", "7", (1,), {"least": 1}, 7),
        ("number", "0.5", (1,), {}, 0.5),
        ("number", "0", (1,), {}, 0),
        ("words", " a, b,,c ", (), {}, ["a", "b", "c"]),
        ("choice", "put", (("POST", "PUT"),), {}, "PUT"),
        ("rate", "10/hour", ("1/s",), {}, "10/hour"),
        ("time_zone", "Europe/Berlin", ("UTC",), {}, "Europe/Berlin"),
        ("dates", "2027-01-01, 2026-12-25,2027-01-01", (), {},
         (date(2026, 12, 25), date(2027, 1, 1))),
        ("address", "unix:///run/valkey.sock", (), {"schemes": ("unix",)},
         "unix:///run/valkey.sock"),
    ],
)  # fmt: skip
def test_a_variable_is_read_as_meant(method, said, arguments, more, value):
    assert read(method, said, *arguments, **more) == value


@pytest.mark.parametrize("said", ["", "  "])
@pytest.mark.parametrize(
    ("method", "arguments", "more", "value"),
    [
        ("text", ("x",), {}, "x"),
        ("flag", (True,), {}, True),
        ("whole", (8,), {"least": 1}, 8),
        ("number", (0.5,), {}, 0.5),
        ("words", (["a"],), {}, ["a"]),
        ("choice", (("body", "t.body"),), {}, "body"),
        ("address", ("https://a.io",), {"schemes": ("https",)}, "https://a.io"),
        ("database", (), {}, None),
        ("dates", (), {}, ()),
    ],
)
def test_an_empty_variable_is_an_unset_one(method, arguments, more, value, said):
    assert read(method, said, *arguments, **more) == value
    assert getattr(Environment({}), method)("NAME", *arguments, **more) == value


@pytest.mark.parametrize(
    ("method", "said", "arguments", "more", "trouble"),
    [
        ("flag", "maybe", (False,), {}, "'maybe' is neither 1 nor 0"),
        ("whole", "many", (1,), {"least": 1}, "'many' is not a number"),
        ("whole", "1.5", (1,), {"least": 1}, "1.5 is not a whole number"),
        ("whole", "0", (1,), {"least": 1}, "0 is not 1 or more"),
        ("number", "0", (1,), {"above": 0}, "0 is not above 0"),
        ("number", "-1", (1,), {}, "-1 is not 0 or more"),
        ("number", "nan", (1,), {}, "nan is not 0 or more"),
        ("number", "inf", (1,), {}, "inf is not 0 or more"),
        ("choice", "x", (("body", "t.body"),), {}, "'x' is none of body, t.body"),
        ("rate", "many", ("1/s",), {}, "'many' is no rate such as 100/s or 60/min"),
        ("rate", "0/s", ("1/s",), {}, "'0/s' is no rate such as 100/s or 60/min"),
        ("rate", "5/ms", ("1/s",), {}, "'5/ms' is no rate such as 100/s or 60/min"),
        ("dates", "2026-12-25,2026-02-29", (), {},
         "'2026-02-29' is no date such as 2026-07-04"),
        ("dates", "25.12.2026", (), {}, "'25.12.2026' is no date such as 2026-07-04"),
        ("time_zone", "Mars/Base", ("UTC",), {},
         "'Mars/Base' is no time zone such as Europe/Berlin"),
        ("time_zone", "../etc/passwd", ("UTC",), {},
         "'../etc/passwd' is no time zone such as Europe/Berlin"),
    ],
)  # fmt: skip
def test_a_bad_variable_is_named_with_what_it_should_be(method, said, arguments, more, trouble):
    with pytest.raises(BadVariable) as refused:
        read(method, said, *arguments, **more)

    assert str(refused.value) == f"NAME: {trouble}"


@pytest.mark.parametrize(
    "said",
    [
        "api.edrv.io",
        "ftp://api.edrv.io",
        "https://",
        "https:///v1.1",
        "https://a:port/",
        "https://[",
    ],
)
def test_an_address_that_leads_nowhere_is_refused(said):
    with pytest.raises(BadVariable, match="NAME: is no address in https:// or http://"):
        read("address", said, schemes=("https", "http"))


def test_pairs_are_read_from_the_right_since_names_may_have_an_equals_sign():
    said = "grid-ops=operator, cn=audit,ou=x=auditor"

    with pytest.raises(BadVariable, match="NAME: 'cn=audit' does not end in = and one of"):
        read("mapping", said, values=("operator", "auditor"))
    found = read("mapping", "grid-ops=operator, cn=audit=auditor", values=("operator", "auditor"))
    assert found == {"grid-ops": "operator", "cn=audit": "auditor"}
    assert read("mapping", "", values=("operator",)) == {}


def test_a_mail_server_has_its_encryption_in_its_address():
    found = read("mail_server", "smtp+tls://us%40er:p%2Fw@mail.example.com:587")

    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == ("mail.example.com", 587)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("us@er", "p/w")
    assert found["EMAIL_USE_TLS"] is True
    assert read("mail_server", "")["EMAIL_BACKEND"].endswith("dummy.EmailBackend")


@pytest.mark.parametrize("said", ["mail.example.com", "imap://user:hunter2@host", "smtp://"])
def test_no_mail_server_is_refused_without_telling_its_password(said):
    with pytest.raises(BadVariable, match="NAME: is no address such as smtp") as refused:
        read("mail_server", said)

    assert "hunter2" not in str(refused.value)


def test_a_database_is_postgresql_with_every_part_of_its_address():
    found = read("database", "postgres://us%40er:p%2Fw@db.example.com:5433/dr?sslmode=require")

    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert (found["USER"], found["PASSWORD"]) == ("us@er", "p/w")
    assert (found["HOST"], found["PORT"], found["NAME"]) == ("db.example.com", 5433, "dr")
    assert found["OPTIONS"] == {"sslmode": "require"}


@pytest.mark.parametrize(
    "said",
    [
        "sqlite:///hunter2.db",
        "mysql://user:hunter2@host/name",
        "postgres://user:hunter2@host:port/name",
        "postgres://user:hunter2@host",
    ],
)
def test_any_other_database_is_refused_without_telling_its_password(said):
    with pytest.raises(BadVariable, match="NAME: ") as refused:
        read("database", said)

    assert "hunter2" not in str(refused.value)
