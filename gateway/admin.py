"""Access: users, groups and API clients. Whatever is changed here is in the audit trail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.cache import never_cache
from oauth2_provider import models as oauth2
from oauth2_provider.generators import generate_client_secret
from oauth2_provider.settings import oauth2_settings
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from chargers import audit
from chargers.admin.parts import (
    actor_of,
    anchor,
    change_url,
    column,
    moment_column,
    yes_no_column,
)
from chargers.wording import GAP
from gateway import overview, roles
from gateway.clients import ClientName
from gateway.login import second_factor
from gateway.login.views import LogInForm
from gateway.models import ApiClient

SECRET_PAGE = "admin/gateway/apiclient/secret.html"

RESET_PAGE = "admin/login/reset.html"

admin.site.index_template = overview.TEMPLATE
admin.site.login_form = LogInForm
admin.site.login_template = "admin/login/login.html"
admin.site.empty_value_display = GAP

admin.site.unregister(User)
admin.site.unregister(Group)
# Tokens are issued and revoked by OAuth2, grants and id tokens are of flows we do not offer.
for model in (oauth2.AccessToken, oauth2.RefreshToken, oauth2.Grant, oauth2.IDToken, ApiClient):
    admin.site.unregister(model)


class Audited:
    """Writes an audit entry where Django writes its own log. A changed password is told by its
    name only."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        record(request, "added", [obj], message)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        record(request, "changed", [obj], message)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> Any:
        deleted = list(queryset)
        record(request, "deleted", deleted, [])
        return super().log_deletions(request, queryset)  # type: ignore[misc]


def record(request: HttpRequest, verb: str, things: Sequence[Model], message: Any) -> None:
    """`user.changed` and the like, with the names of the fields that were."""
    if not things:
        return
    subject = type(things[0]).__name__.lower()
    audit.record(
        actor_of(request),
        f"{subject}.{verb}",
        at=timezone.now(),
        subject=subject,
        subject_ids=[thing.pk for thing in things],
        after={"names": [str(thing) for thing in things], "changes": message},
    )


def _second_factor(user: User) -> str:
    if not second_factor.is_enrolled(user):
        return "none yet"
    address = reverse("admin:auth_user_second_factor", args=[user.pk])
    return format_html("set up &nbsp;{}", anchor(address, "reset it"))


second_factor_column = column("second_factor", "second factor", _second_factor)


@admin.register(User)
class UserAdmin(Audited, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """People. Only a superuser makes or touches superusers: whoever may change users could
    otherwise make themselves one."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    compressed_fields = True
    list_display: Any = (
        "username",
        "first_name",
        "last_name",
        column("roles", "groups", lambda user: ", ".join(g.name for g in user.groups.all())),
        yes_no_column("is_active", "active"),
        yes_no_column("is_superuser", "superuser"),
        moment_column("last_login", "last login"),
    )
    list_filter = ("is_active", "groups")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("username", "password", second_factor_column)}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
    )
    add_fieldsets: Any = (
        (
            None,
            {
                "fields": (
                    "username",
                    "first_name",
                    "last_name",
                    "email",
                    "usable_password",
                    "password1",
                    "password2",
                    "groups",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        found: QuerySet[User] = super().get_queryset(request)
        return found.prefetch_related("groups")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        shown = (second_factor_column,) if obj else ()
        return shown if request.user.is_superuser else (*shown, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_touch(request, obj) and super().has_delete_permission(request, obj)

    def _may_touch(self, request: HttpRequest, user: Any) -> bool:
        return bool(user is None or not user.is_superuser or request.user.is_superuser)

    def get_urls(self) -> list[Any]:
        reset = self.admin_site.admin_view(self.reset_view)
        return [
            path("<int:pk>/second-factor/", reset, name="auth_user_second_factor"),
            *super().get_urls(),
        ]

    def reset_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take somebody's second factor away, who has lost it."""
        person = self.get_object(request, str(pk))
        if person is None or not self.has_change_permission(request, person):
            raise PermissionDenied
        if request.method == "POST":
            second_factor.reset(person, actor=actor_of(request), now=timezone.now())
            messages.success(request, f"{person.get_username()} has no second factor now.")
            return HttpResponseRedirect(change_url(person))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Reset the second factor of {person.get_username()}",
            "opts": self.opts,
            "person": person,
            "back": change_url(person),
            "required": settings.SECOND_FACTOR_REQUIRED,
        }
        return TemplateResponse(request, RESET_PAGE, context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            # Who has no business in the admin has none here: machines are API clients.
            obj.is_staff = True
        super().save_model(request, obj, form, change)


@admin.register(Group)
class GroupAdmin(Audited, DjangoGroupAdmin, ModelAdmin):
    compressed_fields = True

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The three roles stay: the next migration would make them again, with nobody in them."""
        is_role = obj is not None and obj.name in roles.ROLES
        return not is_role and super().has_delete_permission(request, obj)


class ApiClientForm(forms.ModelForm):  # type: ignore[type-arg]
    name = ClientName(widget=UnfoldAdminTextInputWidget, help_text="Who it is, such as scada.")
    scopes = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {meaning}") for name, meaning in oauth2_settings.SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = ApiClient
        fields = ("name", "scopes")

    def clean_scopes(self) -> str:
        return " ".join(self.cleaned_data["scopes"])


@admin.register(ApiClient)
class ApiClientAdmin(Audited, ModelAdmin):
    """Clients of the REST interface. None is changed: revoke it and create another."""

    form = ApiClientForm
    compressed_fields = True
    list_display = ("name", "scopes", "client_id", moment_column("created"))
    search_fields = ("name", "client_id")
    fieldsets: Any = (
        (None, {"fields": ("name", "scopes", "client_id", moment_column("created"))}),
    )
    add_fieldsets: Any = ((None, {"fields": ("name", "scopes")}),)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        return ("name", "scopes", "client_id", moment_column("created")) if obj else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Saving hashes the secret; the plain one lives until the page is shown."""
        obj.client_type = ApiClient.CLIENT_CONFIDENTIAL
        obj.authorization_grant_type = ApiClient.GRANT_CLIENT_CREDENTIALS
        obj.client_secret = secret = generate_client_secret()
        super().save_model(request, obj, form, change)
        obj.shown_once = secret

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        page: HttpResponse = super().add_view(request, form_url, buttons)
        return page

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: Any = None
    ) -> HttpResponse:
        """The secret stands on this page and nowhere else: no redirect, no message, no cache."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"API client {obj.name}",
            "opts": self.opts,
            "client": obj,
            "secret": obj.shown_once,
        }
        page: HttpResponse = never_cache(_as_is)(
            request, TemplateResponse(request, SECRET_PAGE, context)
        )
        return page


def _as_is(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    return response
