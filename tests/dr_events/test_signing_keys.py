"""What an administrator does with signing keys."""

import pytest
from django.core.management import CommandError, call_command

from dr_events.evidence.seal import public_key_of, sign, wrong_with_signature
from gateway.environment import BadVariable, Environment


def test_public_keys_are_told_and_private_ones_are_not(settings, capsys):
    settings.EVIDENCE_SIGNING_KEYS = {"2026b": "1f" * 32, "2026a": "2e" * 32}

    call_command("signing_keys")

    said = capsys.readouterr().out
    assert said.splitlines() == [
        f"2026b {public_key_of('1f' * 32)}", f"2026a {public_key_of('2e' * 32)}",
    ]  # fmt: skip
    assert "1f" * 32 not in said


def test_a_new_key_is_an_entry_of_the_variable(capsys):
    call_command("signing_keys", new="2027")

    entry = capsys.readouterr().out.strip()
    keys = Environment({"KEYS": f"{entry},old:{'ab' * 32}"}).keys("KEYS")
    assert list(keys) == ["2027", "old"]
    signature = sign(b"manifest", key_id="2027", seed=keys["2027"])
    assert wrong_with_signature(b"manifest", signature, key_id="2027") is None
    assert wrong_with_signature(b"manifesto", signature, key_id="2027")
    assert wrong_with_signature(b"manifest", signature, key_id="2026")


def test_an_id_that_is_taken_is_refused(settings):
    settings.EVIDENCE_SIGNING_KEYS = {"2027": "1f" * 32}

    with pytest.raises(CommandError, match="already"):
        call_command("signing_keys", new="2027")


@pytest.mark.parametrize("said", ["abc", "id:xyz", f"id:{'AB' * 32}", f":{'ab' * 32}", "id:abcd"])
def test_a_variable_that_holds_no_keys_is_named_and_not_shown(said):
    with pytest.raises(BadVariable, match="KEYS: is not id:key") as refused:
        Environment({"KEYS": said}).keys("KEYS")
    assert said not in str(refused.value)


@pytest.mark.parametrize("said", ["caiso", "caiso_10_in_10,nothing"])
def test_a_method_that_there_is_not_is_named(said):
    with pytest.raises(BadVariable, match=r"METHODS: '\w+' is none of"):
        Environment({"METHODS": said}).several("METHODS", ("caiso_10_in_10",))
    assert Environment({}).several("METHODS", ("a", "b")) == ("a", "b")
    assert Environment({}).several("METHODS", ("a", "b"), unset=()) == ()
