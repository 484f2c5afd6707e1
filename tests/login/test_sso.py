"""Single sign-on, against a small provider over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import Group, User
from django.test import Client

from chargers.models import AuditEntry
from gateway.login import sso
from gateway.login.models import LogIn
from tests.login.conftest import LOGIN, is_in, person
from tests.login.provider import CLIENT_ID, CLIENT_SECRET, Provider, providing

pytestmark = pytest.mark.django_db

BEGIN = "/login/sso/"


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with providing() as found:
        settings.OIDC_ISSUER = found.issuer
        settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
        settings.OIDC_ROLES = {"grid-ops": "operator", "grid-audit": "auditor"}
        found.person["roles"] = ["grid-ops", "coffee"]
        yield found


def sign_on(provider: Provider, client: Client | None = None, *, wanted: str = "") -> Any:
    """To the provider and back; what the gateway then answers."""
    browser = client or Client()
    sent = browser.get(BEGIN, {"next": wanted} if wanted else {})
    assert sent.headers["Location"].startswith(f"{provider.issuer}/authorize?")
    return browser.get(provider.log_in(sent.headers["Location"]))


def why_not(provider: Provider) -> str:
    """What the log-in page says to somebody who is not let in."""
    client = Client()
    answer = sign_on(provider, client)
    assert answer.headers["Location"] == LOGIN
    assert not is_in(client)
    return str(*client.get(LOGIN).context["messages"])


# --- in ---------------------------------------------------------------------------------------


def test_a_newcomer_is_let_in_with_the_roles_of_their_claims(
    provider: Provider, settings: Any
) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    provider.person |= {"email": "anna@example.com", "given_name": "Anna"}
    client = Client()

    answer = sign_on(provider, client, wanted="/admin/dr_events/event/")

    assert answer.headers["Location"] == "/admin/dr_events/event/"
    assert is_in(client)
    assert "/login/second-factor/enrol/" not in client.get("/admin/").content.decode()
    anna = User.objects.get()
    assert (anna.username, anna.email, anna.first_name) == ("anna", "anna@example.com", "Anna")
    assert (anna.is_staff, anna.is_superuser, anna.has_usable_password()) == (True, False, False)
    assert [group.name for group in anna.groups.all()] == ["operator"]
    assert list(LogIn.objects.values_list("username", "outcome", "method")) == [
        ("anna", "succeeded", "sso")
    ]


def test_roles_follow_the_claims_at_each_log_in_and_other_groups_stay(provider: Provider) -> None:
    sign_on(provider)
    User.objects.get().groups.add(Group.objects.create(name="night shift"))

    provider.person["roles"] = ["grid-audit"]
    sign_on(provider)

    names = set(User.objects.get().groups.values_list("name", flat=True))
    assert names == {"auditor", "night shift"}
    changes = AuditEntry.objects.filter(action="user.roles_changed").order_by("id")
    assert [one.after["roles"] for one in changes] == [["operator"], ["auditor"]]


def test_somebody_is_known_by_the_subject_whatever_their_name_is_now(provider: Provider) -> None:
    sign_on(provider)

    provider.person["preferred_username"] = "anna.married"
    sign_on(provider)

    assert User.objects.get().username == "anna"


def test_a_user_made_without_a_password_is_theirs(provider: Provider) -> None:
    made = User.objects.create_user("anna", is_staff=True)

    sign_on(provider)

    assert User.objects.get() == made


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["grid-ops"]}}),
        ("groups", {"groups": "grid-ops"}),
    ],
)
def test_roles_are_found_where_the_setting_says(
    provider: Provider, settings: Any, claim: str, value: Any
) -> None:
    settings.OIDC_ROLES_CLAIM = claim
    provider.person = {"sub": "s-1", "preferred_username": "anna", **value}

    sign_on(provider)

    assert User.objects.get().groups.get().name == "operator"


def test_the_log_in_page_offers_it_where_it_is_set_up(provider: Provider, settings: Any) -> None:
    assert f'href="{BEGIN}"' in Client().get(LOGIN).content.decode()
    settings.OIDC_ISSUER = ""

    assert "single sign-on" not in Client().get(LOGIN).content.decode()
    assert Client().get(BEGIN).status_code == 404


def test_new_keys_of_the_provider_are_taken_up(provider: Provider) -> None:
    sign_on(provider)
    provider.key = provider.signing_key = rsa.generate_private_key(
        public_exponent=65537, key_size=2048
    )
    client = Client()

    sign_on(provider, client)

    assert is_in(client)


# --- not in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("roles", [None, [], ["coffee"], "coffee", {"grid-ops": True}, [["x"]]])
def test_without_a_role_nobody_is_let_in(provider: Provider, roles: Any) -> None:
    provider.person["roles"] = roles

    assert "You have no role" in why_not(provider)
    assert not User.objects.exists()


def test_a_name_does_not_make_somebody_a_user_who_has_a_password(provider: Provider) -> None:
    person("anna", "administrator")

    assert "already who is not you" in why_not(provider)


def test_two_people_of_one_name_do_not_become_one(provider: Provider) -> None:
    sign_on(provider)
    provider.person["sub"] = "s-2"

    assert "already who is not you" in why_not(provider)


def test_whoever_is_switched_off_here_stays_out(provider: Provider) -> None:
    sign_on(provider)
    User.objects.update(is_active=False)

    assert "switched off" in why_not(provider)


@pytest.mark.parametrize(
    "signed",
    [
        {"iss": "https://evil.example.com"},
        {"aud": "another"},
        {"exp": 1},
        {"nonce": "another"},
        {"sub": None},
    ],
    ids=lambda signed: next(iter(signed)),
)
def test_a_token_that_is_not_for_us_or_not_now_lets_nobody_in(
    provider: Provider, signed: dict[str, Any]
) -> None:
    provider.signed = signed

    assert why_not(provider)
    assert not User.objects.exists()


def test_a_token_of_another_key_lets_nobody_in(provider: Provider) -> None:
    provider.signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    assert "did not work" in why_not(provider)


def test_a_token_that_nobody_signed_lets_nobody_in(provider: Provider) -> None:
    provider.header = {"alg": "none"}
    provider.description = {"id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}

    assert "did not work" in why_not(provider)


def test_userinfo_of_somebody_else_lets_nobody_in(provider: Provider) -> None:
    provider.told = {"sub": "s-9"}

    assert "two people" in why_not(provider)


def test_what_is_signed_counts_more_than_what_is_told(provider: Provider) -> None:
    provider.signed = {"roles": []}

    assert "You have no role" in why_not(provider)


def test_an_answer_without_its_question_lets_nobody_in(provider: Provider) -> None:
    asked = Client().get(BEGIN).headers["Location"]
    somebody_else = Client()

    answer = somebody_else.get(provider.log_in(asked))

    assert answer.headers["Location"] == LOGIN
    assert not is_in(somebody_else)


def test_an_answer_counts_once(provider: Provider) -> None:
    client = Client()
    back = provider.log_in(client.get(BEGIN).headers["Location"])
    client.get(back)
    client.post("/admin/logout/")

    assert client.get(back).headers["Location"] == LOGIN
    assert not is_in(client)


def test_somebody_who_changed_their_mind_is_back_at_the_log_in(provider: Provider) -> None:
    client = Client()
    client.get(BEGIN)

    answer = client.get("/login/sso/callback/", {"error": "access_denied", "state": "x"})

    assert answer.headers["Location"] == LOGIN


def test_a_provider_that_is_away_or_somebody_else_is_said_to_be(
    provider: Provider, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    provider.description = {"issuer": "https://evil.example.com"}
    assert Client().get(BEGIN).headers["Location"] == LOGIN
    settings.OIDC_ISSUER = "http://127.0.0.1:1"
    client = Client()
    assert client.get(BEGIN).headers["Location"] == LOGIN

    notes = LogIn.objects.order_by("id").values_list("note", flat=True)
    assert list(notes) == [
        "The provider calls itself something else than OIDC_ISSUER.",
        "Single sign-on did not work. Try again, or log in with a password.",
    ]
    assert CLIENT_SECRET not in caplog.text


def test_nobody_is_led_elsewhere_after_it(provider: Provider) -> None:
    answer = sign_on(provider, wanted="https://evil.example.com/")

    assert answer.headers["Location"] == "/admin/"


def test_only_signatures_with_the_provider_s_own_key_are_ever_accepted() -> None:
    assert not {"none", "HS256", "HS384", "HS512"} & set(sso.ALGORITHMS)
