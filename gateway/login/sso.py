"""Single sign-on through OpenID Connect: who the provider says somebody is, and what that makes
them here. Authlib speaks the protocol: discovery, code flow with PKCE, state, nonce, and the
checks of the ID token (signature, issuer, audience, expiry)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import transaction

from chargers import audit
from chargers.audit import Actor
from gateway import roles
from gateway.login.models import Identity

TIMEOUT_S = 10
# Signed with the provider's own key. HS256 would be signed with our secret, `none` with nothing.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
SSO = Actor("gateway", "single sign-on")


class Refused(Exception):
    """The provider lets somebody in and we do not. The message is for them."""


def is_configured() -> bool:
    return bool(settings.OIDC_ISSUER)


def client() -> Any:
    """A client of the provider, by its own description, which is read anew each time: it is one
    request, and keys and addresses change. Raises Refused for a description of somebody else."""
    found = OAuth().register(
        "sso",
        server_metadata_url=f"{settings.OIDC_ISSUER}/.well-known/openid-configuration",
        client_id=settings.OIDC_CLIENT_ID,
        client_secret=settings.OIDC_CLIENT_SECRET,
        client_kwargs={
            "scope": " ".join(settings.OIDC_SCOPES),
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_S,
        },
        overwrite=True,
    )
    described = found.load_server_metadata()
    if str(described.get("issuer", "")).rstrip("/") != settings.OIDC_ISSUER:
        raise Refused("The provider calls itself something else than OIDC_ISSUER.")
    offered = described.get("id_token_signing_alg_values_supported") or ["RS256"]
    described["id_token_signing_alg_values_supported"] = [
        name for name in offered if name in ALGORITHMS
    ]
    return found


def claims_of(provider: Any, token: Mapping[str, Any]) -> dict[str, Any]:
    """What the ID token says, which is signed, and beside it what the provider tells of the same
    person when asked."""
    if "userinfo" not in token:
        raise Refused("The provider sent no ID token.")
    signed = dict(token["userinfo"])
    if not provider.server_metadata.get("userinfo_endpoint"):
        return signed
    told = dict(provider.userinfo(token=token))
    if told.get("sub") != signed["sub"]:
        raise Refused("The provider speaks of two people.")
    return {**told, **signed}


def roles_in(claims: Mapping[str, Any]) -> set[str]:
    """The roles that a person has here, by OIDC_ROLES; of a claim with dots each part is one level
    deeper, as in Keycloak's `realm_access.roles`."""
    found: Any = claims
    for name in settings.OIDC_ROLES_CLAIM.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    named = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return {settings.OIDC_ROLES[str(name)] for name in named if str(name) in settings.OIDC_ROLES}


@transaction.atomic
def admit(claims: Mapping[str, Any], *, now: datetime) -> User:
    """The user that these claims are of, with the roles they say, made if there is none yet.
    Raises Refused."""
    wanted = roles_in(claims)
    if not wanted:
        raise Refused("You have no role in the gateway. Ask whoever manages your account.")
    user = _known(str(claims["sub"])) or _newcomer(claims, now)
    if not user.is_active:
        raise Refused("Your account in the gateway is switched off.")
    _give_roles(user, wanted, now)
    return user


def _known(subject: str) -> User | None:
    identity = Identity.objects.filter(issuer=settings.OIDC_ISSUER, subject=subject)
    found = identity.select_related("user").first()
    return found.user if found else None


def _newcomer(claims: Mapping[str, Any], now: datetime) -> User:
    """A new user, or one that was made for this person without a password. One who has a password
    is somebody by that: a name at the provider does not make them somebody else."""
    name = str(claims.get(settings.OIDC_USERNAME_CLAIM) or "")[:150]
    if not name:
        raise Refused(f"The provider does not tell your {settings.OIDC_USERNAME_CLAIM}.")
    user, created = User.objects.get_or_create(
        username=name,
        defaults={
            "is_staff": True,
            "email": str(claims.get("email") or "")[:254],
            "first_name": str(claims.get("given_name") or "")[:150],
            "last_name": str(claims.get("family_name") or "")[:150],
        },
    )
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    elif user.has_usable_password() or Identity.objects.filter(user=user).exists():
        raise Refused(f"There is a user {name} already who is not you. Ask an administrator.")
    Identity.objects.create(user=user, issuer=settings.OIDC_ISSUER, subject=str(claims["sub"]))
    _note("user.added" if created else "user.linked", user, now, {"name": name})
    return user


def _give_roles(user: User, wanted: Iterable[str], now: datetime) -> None:
    """Exactly these of our roles; other groups are an administrator's affair."""
    has = set(user.groups.filter(name__in=roles.ROLES).values_list("name", flat=True))
    wanted = set(wanted)
    if has == wanted:
        return
    user.groups.remove(*Group.objects.filter(name__in=has - wanted))
    user.groups.add(*Group.objects.filter(name__in=wanted - has))
    after = {"name": user.get_username(), "roles": sorted(wanted)}
    _note("user.roles_changed", user, now, after, before={"roles": sorted(has)})


def _note(action: str, user: User, now: datetime, after: Any, *, before: Any = None) -> None:
    audit.record(
        SSO, action, at=now, subject="user", subject_ids=[user.pk], before=before, after=after
    )
