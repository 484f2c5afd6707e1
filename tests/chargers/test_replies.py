"""What eDRV's own answers make of a command, of a session and of all others: without a network."""

from datetime import timedelta

import orjson
import pytest

from chargers import claims, dispatch, limits, pace, settlement
from chargers.edrv.burst import Reply
from chargers.edrv.errors import ProviderFailed, ProviderUnreachable
from chargers.models import Attempt, Command, Heartbeat
from chargers.retries import after_deadline
from chargers.watch import Watch
from tests.dr_events.story import ENDPOINT
from tests.fleet import FOUR_KW, NOW, later, make_session, new_id, wanting

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=18)
NO = b'{"ok":false,"message":"no","result":null}'


def claim(count=0, *, at=0.0):
    """What is due, after a limit is wanted of so many more sessions."""
    limits.want([wanting(make_session(), FOUR_KW) for _ in range(count)], now=later(at))
    now = later(at)
    return claims.claim(100, endpoint=ENDPOINT, now=now, lease_until=now + LEASE)


def envelope(**said):
    return orjson.dumps({"ok": True, "message": "", "result": said})


def requested():
    return envelope(_id=new_id(), status="requested")


def answer(one, status, body, *, at=0.0, sent=None, **named):
    """eDRV's answer at `at`, to a request sent then, or at `sent`."""
    headers = {name.replace("_", "-"): value for name, value in named.items()}
    sent_at_s = later(at if sent is None else sent).timestamp()
    return one, Reply(one.attempt_id, sent_at_s, later(at).timestamp(), status, headers, body)


def take_in(*answered, at=0.0):
    return dispatch.take_in(answered, now=later(at))


def claim_look(count=1, *, at=61.0):
    """Looks at actions that no webhook spoke of in time."""
    take_in(*(answer(one, 200, requested()) for one in claim(count)))
    settlement.expire_deadlines(now=later(at), deadline=after_deadline())
    looks = claim(at=at)
    assert {one.verb for one in looks} == {"look_action"}
    return looks


# --- answers that cannot be recorded ------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"\x00\x01\x02 binary"),
        (503, "kaputt".encode("utf-16")),
        (400, b'{"ok":false,"message":"bad\\u0000","result":null}'),
    ],
)
def test_an_answer_with_a_nul_is_recorded_like_any_other(status, body):
    before, one, after = claim(3)

    take_in(answer(before, 200, requested()), answer(one, status, body),
            answer(after, 200, requested()))  # fmt: skip

    assert list(Attempt.objects.order_by("id").values_list("http_status", flat=True)) == [
        200, status, 200,
    ]  # fmt: skip
    assert "\x00" not in Attempt.objects.get(pk=one.attempt_id).answer


def test_trouble_with_a_nul_is_noted():
    pace.note_trouble(ProviderFailed("bad\x00", 502), jitter=1, now=NOW)
    pace.note_failed_sync(ProviderFailed("bad\x00", 502), now=NOW)

    assert set(Heartbeat.objects.values_list("detail", flat=True)) == {
        "provider_failed: HTTP 502: bad"
    }


def test_an_action_that_says_more_than_can_be_written_has_failed_all_the_same():
    deep = b'{"ok":true,"result":{"_id":"a","status":"failed","response_data":%b}}'
    [one] = claim_look()

    take_in(answer(one, 200, deep % (b"[" * 300 + b"]" * 300), at=61), at=61)

    assert Command.objects.get().reason == "rejected_by_station"


def test_one_reply_that_breaks_everything_is_set_aside_and_the_others_are_recorded(monkeypatch):
    first, poison, last = claim(3)
    breaks_it, record = requested(), dispatch.record

    def breaking(results, *, now):
        if any(result.reply.body == breaks_it for result in results):
            raise TypeError("nobody thought of that")
        record(results, now=now)

    monkeypatch.setattr(dispatch, "record", breaking)

    results = take_in(answer(first, 200, requested()), answer(poison, 200, breaks_it),
                      answer(last, 200, requested()))  # fmt: skip

    assert [result.outcome for result in results] == ["requested", "provider_failed", "requested"]
    attempt = Attempt.objects.get(pk=poison.attempt_id)
    assert (attempt.outcome, attempt.may_have_effect) == ("provider_failed", True)
    assert "nobody thought of that" in attempt.answer
    assert Command.objects.get(pk=poison.command_id).next_attempt_at > NOW


# --- what never left --------------------------------------------------------------------------


def test_what_met_nobody_has_no_time_at_which_it_was_sent():
    [one] = claim(1)
    error = ProviderUnreachable("Connection refused")

    [result] = take_in((one, Reply(one.attempt_id, None, NOW.timestamp(), error=error)))

    assert result.outcome == "provider_unreachable"
    assert result.tells_of_edrv
    assert Attempt.objects.get().sent_at is None
    assert Command.objects.get().first_sent_at is None


# --- what answers say of eDRV itself ------------------------------------------------------


def timed_out(one, *, at=0.0):
    error = ProviderUnreachable("timed out", ambiguous=True)
    return one, Reply(one.attempt_id, later(at).timestamp(), later(at).timestamp(), error=error)


def not_sent(one, *, at=0.0):
    """Its lease had passed before its turn came."""
    return one, Reply(one.attempt_id, None, later(at).timestamp())


def see(*answered, watch=None, at=0.0):
    """A round of answers, seen by one dispatcher."""
    (watch or Watch()).see(take_in(*answered, at=at), now=later(at))


def is_known_to_answer():
    return Heartbeat.objects.filter(name=pace.OK).exists()


def test_what_was_never_sent_says_nothing_of_edrv():
    pace.note_trouble(ProviderUnreachable("timed out"), jitter=1, now=NOW)

    see(*(not_sent(one) for one in claim(6)))

    assert pace.in_trouble()
    assert not is_known_to_answer()


def test_an_edrv_that_answers_nothing_is_in_trouble_whatever_its_silence_kept_from_being_sent():
    held = claim(20)

    see(*(timed_out(one) for one in held[:10]), *(not_sent(one) for one in held[10:]))

    assert pace.in_trouble()
    assert not is_known_to_answer()


@pytest.mark.parametrize("status", [403, 404, 405, 410, 501])
def test_that_there_is_no_such_look_says_nothing_of_edrv(status):
    looks = claim_look(5)

    see(*(answer(one, status, b"<html>no backend</html>", at=61) for one in looks), at=61)

    assert not pace.in_trouble()
    assert not is_known_to_answer()


def test_failures_are_trouble_though_each_comes_in_a_round_of_its_own():
    watch, held = Watch(), claim(5)

    for number, one in enumerate(held):
        assert not pace.in_trouble()
        see(answer(one, 503, b"{}", at=number), watch=watch, at=number)

    assert pace.in_trouble()


def test_failures_with_an_answer_between_them_are_no_trouble():
    watch, held = Watch(), claim(9)

    for number, one in enumerate(held):
        said = answer(one, 200, requested()) if number == 4 else answer(one, 503, b"{}")
        see(said, watch=watch)

    assert not pace.in_trouble()


def test_one_session_that_always_fails_is_no_trouble():
    watch = Watch()
    [one] = claim(1)

    for at in range(0, 600, 60):
        see(answer(one, 503, b"{}", at=at), watch=watch, at=at)
        [one] = claim(at=at + 60)

    assert not pace.in_trouble()


def test_each_probe_that_fails_begins_the_next_pause():
    pace.note_trouble(ProviderFailed("no", 503), jitter=0, now=later(-600))
    assert pace.held_until(now=NOW) is None

    [one] = claim(1)
    see(answer(one, 503, b"{}"))

    assert later(15) <= pace.held_until(now=NOW) <= later(30)


def test_an_answer_to_an_earlier_request_does_not_undo_the_wish_of_edrv():
    watch, (limited, well) = Watch(), claim(2)
    see(answer(limited, 429, b"{}", Retry_After="120"), watch=watch)

    # Both were sent together.
    see(answer(well, 200, requested(), at=0.02, sent=0), watch=watch, at=0.02)

    assert pace.held_until(now=later(1)) == later(120)
    assert Command.objects.get(pk=limited.command_id).next_attempt_at == later(120)


def test_of_a_round_s_wishes_the_longest_is_kept():
    first, second, third = claim(3)

    see(answer(first, 429, b"{}"), answer(second, 503, b"{}", Retry_After="120"),
        answer(third, 429, b"{}", Retry_After="60"))  # fmt: skip

    assert pace.held_until(now=NOW) == later(120)


def test_an_answer_to_a_probe_ends_the_trouble_and_brings_forward_what_waited_for_it():
    watch, (failed, well) = Watch(), claim(2)
    pace.note_trouble(ProviderFailed("no", 503), jitter=0, now=later(-30))
    see(answer(failed, 503, b"{}"), watch=watch)

    see(answer(well, 200, requested(), at=0.02, sent=0), watch=watch, at=0.02)

    assert not pace.in_trouble()
    assert Command.objects.get(pk=failed.command_id).next_attempt_at == later(0.02)


# --- looks ------------------------------------------------------------------------------------


def test_a_look_that_is_forbidden_is_followed_by_the_limit_again():
    """GET actions is in no document, and AWS' gateways say 403 to what they have no route for."""
    [look] = claim_look()
    forbidden = b'{"message":"Missing Authentication Token"}'

    take_in(answer(look, 403, forbidden, at=61), at=61)

    [again] = claim(at=61)
    assert again.verb == "set"


@pytest.mark.parametrize("status", [400, 409, 410])
@pytest.mark.parametrize(
    ("first", "reason"), [(404, "session_unknown_to_edrv"), (409, "session_not_started")]
)
def test_a_session_that_edrv_will_not_show_is_asked_for_again_after_a_while(first, reason, status):
    [one] = claim(1)
    take_in(answer(one, first, NO))
    [look] = claim()
    assert look.verb == "look_session"

    take_in(answer(look, status, NO))

    command = Command.objects.get()
    assert (command.state, command.step, command.reason) == ("due", "send", reason)
    assert command.next_attempt_at == later(10)
