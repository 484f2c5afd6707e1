"""Who may tell us what happened at a station: only who knows the secret, and only lately."""

import contextlib
import gc
import hashlib
import hmac
import sys

import pytest

from chargers.edrv.signatures import BadSignature, SignedContent, sign, verify

BODY = '{"_id":"1","type":"session.updated","data":{"name":"Straße ëä 🚗"}}'.encode()
NOW_S = 1_790_000_000.0


def check(header, *, secrets=("new", "old"), content=SignedContent.BODY, body=BODY):
    verify(
        header=header,
        body=body,
        secrets=secrets,
        signed_content=content,
        now_s=NOW_S,
        max_age_s=180,
    )


def header(secret="new", at=int(NOW_S), signed=BODY):
    return f"t={at},v1={sign(secret, signed)}"


def test_the_signature_is_hmac_sha256_in_hex():
    assert sign("new", b"x") == hmac.new(b"new", b"x", hashlib.sha256).hexdigest()


@pytest.mark.parametrize("secret", ["new", "old"])
def test_either_secret_opens_while_they_are_rotated(secret):
    check(header(secret))


@pytest.mark.parametrize("at", [int(NOW_S), int(NOW_S * 1000), int(NOW_S) - 179, int(NOW_S) + 179])
def test_the_time_may_be_in_seconds_or_milliseconds(at):
    check(header(at=at))


def test_the_time_may_be_signed_too():
    signed = f"{int(NOW_S)}.".encode() + BODY

    check(header(signed=signed), content=SignedContent.T_BODY)
    with pytest.raises(BadSignature, match="mismatch"):
        check(header(), content=SignedContent.T_BODY)


def test_one_of_several_signatures_is_enough():
    check(f"t={int(NOW_S)},v1={'0' * 64},v1={sign('old', BODY)},v2=whatever")


@pytest.mark.parametrize("form", ["{:04x}", "{:04X}"])
def test_the_older_form_signs_the_payload_with_escaped_unicode(form):
    units = [b"".join(pair) for pair in _utf16_units(BODY.decode())]
    codes = [int.from_bytes(unit, "big") for unit in units]
    escaped = "".join(chr(c) if c < 128 else "\\u" + form.format(c) for c in codes)

    check(f"sha256={sign('new', escaped.encode())}")


def _utf16_units(text):
    raw = text.encode("utf-16-be")
    return [(raw[i : i + 1], raw[i + 1 : i + 2]) for i in range(0, len(raw), 2)]


def test_the_older_form_signs_the_payload_as_it_came():
    check(f"sha256={sign('new', BODY)}")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "missing"),
        ("v1=abc", "malformed"),
        (f"t={int(NOW_S)}", "malformed"),
        (f"t=x,v1={sign('new', BODY)}", "malformed"),
        (f"t=1,t=2,v1={sign('new', BODY)}", "malformed"),
        (f"t={'9' * 400},v1={sign('new', BODY)}", "malformed"),
        (header(at=int(NOW_S) - 181), "old"),
        (header(at=int(NOW_S) + 181), "old"),
        (header("guessed"), "mismatch"),
        (header(signed=b"other"), "mismatch"),
        ("sha256=" + "0" * 64, "mismatch"),
        (f"t={int(NOW_S)},v1=äöü", "mismatch"),
        (f"{header()}{',v1=0' * 5}", "malformed"),
        (f"{header()},v2={'0' * 1000}", "malformed"),
        (f"sha256={'0' * 1000}", "malformed"),
    ],
)
def test_anything_else_is_refused_with_its_reason(given, reason):
    with pytest.raises(BadSignature, match=reason):
        check(given)


def test_without_a_secret_nothing_is_believed():
    with pytest.raises(BadSignature, match="no_secret"):
        check(f"sha256={sign('', BODY)}", secrets=())


@pytest.mark.parametrize("secret", ["new", "old", "guessed"])
def test_the_time_taken_tells_nothing_of_what_matched(monkeypatch, secret):
    """Every secret is compared, by the comparison that takes as long for a match as for none."""
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *two: compared.append(two) or compare(*two))

    with contextlib.suppress(BadSignature):
        check(header(secret))

    assert len(compared) == 2


@pytest.fixture
def hashed(monkeypatch):
    """The contents that were hashed, in turn."""
    contents = []
    new = hmac.new
    monkeypatch.setattr(
        hmac, "new", lambda key, content, kind: contents.append(content) or new(key, content, kind)
    )
    return contents


def test_a_body_is_hashed_once_for_each_secret_however_many_signatures_are_given(hashed):
    with pytest.raises(BadSignature, match="mismatch"):
        check(f"t={int(NOW_S)}{',v1=0' * 5}")

    assert hashed == [BODY] * 2


@pytest.mark.parametrize("signatures", [6, 10_000])
def test_a_header_without_end_is_refused_before_anything_is_hashed(hashed, signatures):
    with pytest.raises(BadSignature, match="malformed"):
        check(f"t={int(NOW_S)}{',v1=0' * signatures}")

    assert hashed == []


def test_the_payload_as_it_came_is_tried_first_and_then_no_other_form(hashed):
    check(f"sha256={sign('old', BODY)}")

    assert hashed == [BODY] * 3  # once by us


@pytest.fixture
def lines_run():
    """How many lines of Python a call runs through. Those of finalisers, which the collector would
    call in the midst of it, are none of its."""

    def count(call):
        lines = []
        trace = sys.gettrace()
        gc.disable()
        sys.settrace(lambda *_: lambda _, event, __: lines.append(event))
        try:
            call()
        finally:
            sys.settrace(trace)
            gc.enable()
        return len(lines)

    return count


@pytest.mark.parametrize("characters", ["é", "éa", "🚗a", "€🚗\n"])
def test_a_longer_payload_takes_no_more_steps_of_python(lines_run, characters):
    def refuse(times):
        with pytest.raises(BadSignature, match="mismatch"):
            check("sha256=0", body=(characters * times).encode())

    refuse(1)  # what is done once is done
    assert lines_run(lambda: refuse(1_000)) == lines_run(lambda: refuse(10))


@pytest.mark.parametrize("text", ['"\\u00e9\\é"', "\x00é\x7f\x80\uffff", '", "é', "€é🚗🚗a"])
def test_nothing_but_characters_beyond_ascii_is_escaped(text):
    raw = text.encode("utf-16-be")
    units = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
    escaped = "".join(chr(unit) if unit < 128 else f"\\u{unit:04X}" for unit in units)

    check(f"sha256={sign('new', escaped.encode())}", body=text.encode())
