"""Every page works under the policy it is sent with: the browser refuses nothing and logs
nothing."""

import pytest
from django.contrib.auth.models import User

from dr_events import reconciliation
from dr_events.models import Event
from tests.dr_events.story import declare
from tests.fleet import NOW, make_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def complaints(page):
    """What the browser complains about: refusals by the policy, scripts that fail, requests that
    go elsewhere."""
    found = []
    page.on("console", lambda message: message.type == "error" and found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.add_init_script(
        "addEventListener('securitypolicyviolation',"
        " (event) => console.error(`${event.violatedDirective}: ${event.blockedURI}`))"
    )
    return found


@pytest.fixture
def elsewhere(page, live_server):
    """The addresses of other hosts that a page asked for."""
    found = []

    def note(request):
        if not request.url.startswith((live_server.url, "data:", "blob:")):
            found.append(request.url)

    page.on("request", note)
    return found


@pytest.fixture
def logged_in(page, live_server, complaints):
    User.objects.create_superuser("anna", password="correct horse")
    page.goto(f"{live_server.url}/admin/")
    page.fill("[name=username]", "anna")
    page.fill("[name=password]", "correct horse")
    page.click("[type=submit]")
    page.wait_for_url(f"{live_server.url}/admin/")
    return page


def test_the_admin_s_pages_keep_to_the_policy(logged_in, live_server, complaints, elsewhere):
    session, event = make_session(), declare()
    reconciliation.steer(clock=lambda: NOW)
    for address in (
        "/admin/",
        "/admin/dr_events/event/",
        f"/admin/dr_events/event/{event.pk}/change/",
        f"/admin/dr_events/event/{event.pk}/amend/",
        f"/admin/dr_events/event/{event.pk}/end/",
        f"/admin/chargers/session/{session.pk}/change/",
        "/admin/chargers/site/",
        "/admin/chargers/site/import/",
        "/admin/chargers/auditentry/",
        "/admin/login/login/",
        "/admin/gateway/apiclient/add/",
        "/admin/auth/user/add/",
    ):
        answer = logged_in.goto(live_server.url + address, wait_until="networkidle")
        assert answer.ok, address
        assert "script-src 'self' 'unsafe-eval';" in answer.headers["content-security-policy"]

    assert (complaints, elsewhere) == ([], [])


def test_an_event_s_figures_follow_by_themselves(logged_in, live_server, complaints):
    make_session()
    event = declare()
    logged_in.goto(f"{live_server.url}/admin/dr_events/event/{event.pk}/change/")
    before = logged_in.inner_text("#figures")
    Event.objects.filter(pk=event.pk).update(priority=1)
    reconciliation.steer(clock=lambda: NOW)

    logged_in.wait_for_function("before => document.querySelector('#figures').innerText != before",
                                arg=before)  # fmt: skip

    assert complaints == []


def test_an_event_is_declared_in_two_steps(logged_in, live_server, complaints):
    make_session()
    logged_in.goto(f"{live_server.url}/admin/dr_events/event/add/")
    logged_in.click("#add-target")
    assert logged_in.locator("#target-rows [data-target-row]:visible").count() >= 2
    logged_in.fill("[name=name]", "Feeder F12 overload")
    logged_in.fill("[name=limit_value]", "4200")
    row = logged_in.locator("#target-rows [data-target-row]").first
    row.locator("[data-target-type]").select_option("all")
    assert row.locator("[data-target-value]").is_disabled()
    logged_in.click("[form=order-form]")
    logged_in.click("[name=step][value=confirm]")
    logged_in.wait_for_selector("#counts")

    assert Event.objects.get().name == "Feeder F12 overload"
    assert complaints == []


def test_somebody_is_left_alone_in_two_steps(logged_in, live_server, complaints):
    session, event = make_session(), declare()
    logged_in.goto(f"{live_server.url}/admin/dr_events/event/{event.pk}/opt_out/")
    logged_in.select_option("[data-target-type]", "session")
    assert logged_in.get_attribute("[data-target-value]", "list") == "known-session"
    logged_in.fill("[data-target-value]", session.external_id)
    logged_in.click("#opt-out-form [type=submit]")
    logged_in.click("[name=step][value=confirm]")
    logged_in.wait_for_selector("#opt-outs")

    assert complaints == []


def test_the_api_s_page_comes_from_here_alone(page, live_server, complaints, elsewhere):
    answer = page.goto(f"{live_server.url}/api/v1/docs/")
    page.wait_for_selector(".opblock-summary-path")

    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert (complaints, elsewhere) == ([], [])


def test_a_script_inside_a_page_does_not_run(logged_in, live_server, complaints):
    logged_in.goto(f"{live_server.url}/admin/")
    logged_in.evaluate(
        "() => { const script = document.createElement('script');"
        " script.textContent = 'window.ran = true'; document.body.append(script); }"
    )

    assert logged_in.evaluate("() => window.ran") is None
    assert complaints
