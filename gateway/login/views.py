"""The pages between the password and the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import UsernameField
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from chargers.admin.parts import actor_of
from gateway.login import journal, passing, second_factor, sso
from gateway.login.models import LogIn
from gateway.throttling import seconds_to_wait

Outcome = LogIn.Outcome


class LogInForm(AuthenticationForm):
    """Django's own tells browsers how long a name may be, and takes longer ones all the same:
    they would fail where django-axes writes them down."""

    username = UsernameField(max_length=150)  # as User has it


class CodeForm(forms.Form):
    """One code: of the app or, where that is lost, a recovery code."""

    code = forms.CharField(
        max_length=20,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "inputmode": "text"}
        ),
    )


def next_page(request: HttpRequest) -> str:
    """Where somebody wanted to go, if that is here."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    is_here = url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_here else reverse("admin:index")


def too_many(request: HttpRequest, wait_s: int, username: str = "") -> HttpResponse:
    """429, as a page that needs nothing."""
    journal.write(request, Outcome.THROTTLED, username)
    text = f"Too many attempts to log in. Try again in {wait_s} s."
    return HttpResponse(
        text, status=429, content_type="text/plain", headers={"Retry-After": str(wait_s)}
    )


def login(request: HttpRequest) -> HttpResponseBase:
    """The admin's log-in, where passwords cannot be tried as fast as one likes: an address has
    TOKEN_RATE_LIMIT; a name at an address has five wrong passwords, then ten minutes without
    (django-axes, which keeps them in the database: it holds while Redis is away, too)."""
    if request.method == "POST" and (wait_s := seconds_to_wait(request)):
        return too_many(request, wait_s)
    sso_url = reverse("login:sso") if sso.is_configured() else ""
    return admin.site.login(request, {"sso_url": sso_url})


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """For AXES_LOCKOUT_CALLABLE. The same whether the password was right: nobody learns that."""
    said = str(request.POST.get("username", ""))
    return too_many(request, int(settings.AXES_COOLOFF_TIME.total_seconds()), journal.known(said))


@never_cache
@csrf_protect
@login_required
def verify(request: HttpRequest) -> HttpResponse:
    """Ask for a code."""
    user = request.user
    assert isinstance(user, User)
    if passing.has_passed(request.session, needs_code=True):
        return HttpResponseRedirect(next_page(request))
    if not second_factor.is_enrolled(user):
        return HttpResponseRedirect(reverse("login:enrol"))
    form = CodeForm(request.POST or None)
    if request.method == "POST":
        if wait_s := seconds_to_wait(request):
            return too_many(request, wait_s, user.get_username())
        if form.is_valid() and _accepts(request, user, form):
            return HttpResponseRedirect(next_page(request))
    return page(request, "admin/login/second_factor.html", "Second factor", form=form)


def _accepts(request: HttpRequest, user: User, form: CodeForm) -> bool:
    verdict = second_factor.verify(user, form.cleaned_data["code"])
    if not verdict.accepted:
        journal.write(request, Outcome.CODE_REFUSED, user.get_username())
        wait = f" Wait {verdict.wait_s} s before the next try." if verdict.wait_s else ""
        form.add_error("code", f"This code is not right, or was used already.{wait}")
        return False
    outcome = Outcome.RECOVERY_CODE_USED if verdict.is_recovery else Outcome.CODE_ACCEPTED
    journal.write(request, outcome, user.get_username())
    pass_with_code(request)
    return True


def pass_with_code(request: HttpRequest) -> None:
    """The session is worth more from now on, so it gets another key."""
    request.session[passing.PASSED] = passing.CODE
    request.session.cycle_key()


@never_cache
@csrf_protect
@login_required
def enrol(request: HttpRequest) -> HttpResponse:
    """Set up an app, the first one or another one instead. Who has one shows that first; who comes
    by single sign-on needs none."""
    user = request.user
    assert isinstance(user, User)
    passed = request.session.get(passing.PASSED)
    if passed == passing.SSO:
        return HttpResponseRedirect(reverse("admin:index"))
    enrolled = second_factor.is_enrolled(user)
    if enrolled and passed != passing.CODE:
        return HttpResponseRedirect(reverse("login:second_factor"))
    form = CodeForm(request.POST or None)
    if request.method == "POST":
        if wait_s := seconds_to_wait(request):
            return too_many(request, wait_s, user.get_username())
        if form.is_valid() and (codes := _confirm(request, user, form)):
            return page(request, "admin/login/codes.html", "Recovery codes", codes=codes)
    device = second_factor.begun(user)
    return page(
        request,
        "admin/login/enrol.html",
        "Set up a second factor",
        form=form,
        # Drawn by segno from our own key.
        qr=mark_safe(second_factor.qr_svg(device)),
        key=second_factor.key_text(device),
        enrolled=enrolled,
    )


def _confirm(request: HttpRequest, user: User, form: CodeForm) -> list[str]:
    said = form.cleaned_data["code"]
    codes = second_factor.confirm(user, said, actor=actor_of(request), now=timezone.now())
    if codes:
        pass_with_code(request)
    else:
        form.add_error("code", "This is not the code that the app shows now. Is its clock right?")
    return codes


def page(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    """A page outside the admin's own, in its clothes."""
    given = {**admin.site.each_context(request), "title": title, "next": next_page(request)}
    return TemplateResponse(request, template, {**given, **context})
