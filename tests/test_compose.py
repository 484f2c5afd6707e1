"""compose.yaml and Dockerfile, as far as they can be held to something without a Docker engine."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from gateway import embedded
from gateway.database_role import APP_ROLE
from gateway.stack import Stack

REPOSITORY = Path(__file__).resolve().parent.parent
SERVICES = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
EXAMPLE = (REPOSITORY / ".env.example").read_text()
OURS = ("web", "webhooks", "worker", "dispatcher", "notifier", "beat", "migrate", "simulator")


def words_of(service):
    command = SERVICES[service].get("command")
    if command is None:
        return re.findall(r'"([^"]+)"', DOCKERFILE[DOCKERFILE.index("CMD [") :])
    return shlex.split(command)


@pytest.mark.parametrize("program", Stack(port=8000, say=print).programs(), ids=lambda p: p.name)
def test_a_container_runs_what_up_runs(program):
    _python, _m, *ours = [word.replace("127.0.0.1", "0.0.0.0") for word in program.argv]

    assert words_of(program.name) == ours


def test_the_container_of_the_database_plans_as_the_embedded_one_does():
    options = [word for word in words_of("postgres")[1:] if word != "-c"]

    assert dict(option.split("=") for option in options) == embedded.PLANNING


@pytest.mark.parametrize("service", SERVICES)
def test_no_container_runs_as_root_or_holds_a_secret(service):
    settings = SERVICES[service]
    user = settings.get("user") or re.search(r"^USER (\S+)", DOCKERFILE, re.M).group(1)
    assert user not in ("root", "0")
    for name, value in settings.get("environment", {}).items():
        if re.search("PASSWORD|SECRET|KEY", name):
            assert re.fullmatch(r"(\$\{\w+:\?.*\})?", value)


@pytest.mark.parametrize("service", [name for name in OURS if name != "migrate"])
def test_only_the_migration_knows_the_password_of_the_tables_owner(service):
    environment = SERVICES[service]["environment"]

    assert environment["DATABASE_URL"].startswith(f"postgres://{APP_ROLE}:")
    assert (environment["POSTGRES_PASSWORD"], environment["POSTGRES_APP_PASSWORD"]) == ("", "")
    assert "${POSTGRES_PASSWORD:?" in SERVICES["migrate"]["environment"]["DATABASE_URL"]


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "migrate"])
def test_every_lasting_container_has_a_health_check_and_comes_back(service):
    assert SERVICES[service]["healthcheck"]["test"]
    assert SERVICES[service]["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", OURS)
def test_our_containers_can_do_nothing_they_need_not(service):
    assert SERVICES[service]["read_only"]
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]


def test_the_example_names_every_variable_that_compose_insists_on():
    insisted_on = set(re.findall(r"\$\{(\w+):\?", (REPOSITORY / "compose.yaml").read_text()))

    assert insisted_on <= set(re.findall(r"^(\w+)=", EXAMPLE, re.M))
