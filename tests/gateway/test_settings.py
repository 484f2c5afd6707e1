"""The settings as a deployment gets them: a process of its own for each environment."""

import json
import subprocess
import sys

import pytest

from tests.gateway_process import MANAGE, REPOSITORY

PRODUCTION = {
    "SECRET_KEY": "kept-with-the-deployment-" + "7hW0-qZ4" * 8,
    "ALLOWED_HOSTS": "dr.example.com",
    "DATABASE_URL": "postgres://gateway:password@127.0.0.1:1/gateway",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "EDRV_API_KEY": "key",
    "EDRV_WEBHOOK_SECRETS": "secret",
    "EVIDENCE_SIGNING_KEYS": "2026:" + "1f" * 32,
}
SHOW = """
import json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in dir(settings)}, default=repr))
"""


def run(folder, *argv, **env):
    return subprocess.run(
        argv,
        env={"PATH": "", "DATA_DIR": str(folder), **env},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def settings_of(folder, **env):
    done = run(folder, sys.executable, "-c", SHOW, **env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_django_s_own_check_finds_nothing_to_improve_in_production(tmp_path):
    done = run(tmp_path, *MANAGE, "check", "--deploy", "--fail-level", "INFO", **PRODUCTION)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "System check identified no issues (0 silenced).\n"


def test_what_nobody_set_is_the_safe_way(tmp_path):
    found = settings_of(tmp_path, **PRODUCTION)

    for name in ("DEBUG", "PLAIN_HTTP", "BEHIND_PROXY"):
        assert found[name] is False
    for name in ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"):
        assert found[name] is True
    assert found["SECURE_HSTS_SECONDS"] == 31_536_000
    assert found["SECURE_PROXY_SSL_HEADER"] is None
    assert (found["EMBEDDED_DATABASE"], found["EMBEDDED_REDIS"]) == (False, False)


def test_nothing_is_written_where_everything_is_given(tmp_path):
    settings_of(tmp_path / "data", **PRODUCTION)

    assert not (tmp_path / "data").exists()


def test_a_second_factor_is_required_unless_it_all_runs_without_tls(tmp_path):
    assert settings_of(tmp_path, **PRODUCTION)["SECOND_FACTOR_REQUIRED"] is True
    assert settings_of(tmp_path, PLAIN_HTTP="1")["SECOND_FACTOR_REQUIRED"] is False


def test_single_sign_on_needs_https_and_a_client(tmp_path):
    issuer = "https://login.example.com/realms/grid/"
    found = settings_of(tmp_path, **PRODUCTION, OIDC_ISSUER=issuer, OIDC_CLIENT_ID="gateway")
    assert found["OIDC_ISSUER"] == issuer.rstrip("/")

    for bad in ({"OIDC_ISSUER": issuer}, {"OIDC_ISSUER": issuer.replace("https", "http")}):
        done = run(tmp_path, *MANAGE, "check", **PRODUCTION, **bad)
        assert (done.returncode, done.stderr.partition(":")[0]) in (
            (1, "OIDC_CLIENT_ID"),
            (1, "OIDC_ISSUER"),
        )


def test_anchors_by_e_mail_need_a_mail_server(tmp_path):
    asked = {**PRODUCTION, "AUDIT_ANCHOR_EMAILS": "audit@utility.example"}

    done = run(tmp_path, *MANAGE, "check", **asked)

    assert (done.returncode, done.stderr.partition(":")[0]) == (1, "AUDIT_ANCHOR_EMAILS")
    assert settings_of(tmp_path, **asked, EMAIL_URL="smtp://mail.utility.example:25")


def test_on_one_machine_a_key_is_made_once_and_kept_to_its_owner(tmp_path):
    first, second = settings_of(tmp_path), settings_of(tmp_path)

    kept = tmp_path / "secret_key"
    assert first["SECRET_KEY"] == second["SECRET_KEY"] == kept.read_text()
    assert len(kept.read_text()) > 80
    assert kept.stat().st_mode & 0o777 == 0o600
    assert first["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert (first["EMBEDDED_DATABASE"], first["EMBEDDED_REDIS"]) == (True, True)


@pytest.mark.parametrize("command", ["check", "declare_event"])
def test_a_bad_variable_ends_a_command_with_one_line_that_names_it(tmp_path, command):
    done = run(tmp_path, *MANAGE, command, **{**PRODUCTION, "EDRV_TIMEOUT_S": "soon"})

    assert (done.returncode, done.stderr) == (1, "EDRV_TIMEOUT_S: 'soon' is not a number\n")
