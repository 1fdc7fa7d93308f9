"""Files that must agree with one another."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

from schema import errors
from schema.settings import EXPORTS, PREFIX, RESULTS, STORAGE_VARIABLE, Settings
from schema.version import VERSION
from tests.unit.conventions.source import PROJECT, modules

PLATFORM_VARIABLES = {"FUNCTIONS_WORKER_RUNTIME", "PYTHON_THREADPOOL_THREAD_COUNT", STORAGE_VARIABLE}
DOCUMENTS = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md",
             *sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs").glob("*.md"))]  # fmt: skip


def own_variables() -> set[str]:
    return {f"{PREFIX}{name.upper()}" for name, field in Settings.model_fields.items() if not field.validation_alias}


def request_error_codes() -> set[str]:
    """Codes that a RequestError is raised with."""
    kinds = {n for n, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.RequestError)}
    calls = [node for module in modules() for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    keywords = [k for call in calls if isinstance(call.func, ast.Name) and call.func.id in kinds for k in call.keywords]
    return {str(k.value.value) for k in keywords if k.arg == "code" and isinstance(k.value, ast.Constant)}


def requirements() -> list[str]:
    lines = [
        line
        for name in ("requirements.txt", "requirements-dev.txt", "requirements-stac.txt", "requirements-runtime.txt")
        for line in (PROJECT / name).read_text().split("\n")
    ]
    return sorted({re.split(r"[\[=<>~ ]", line)[0] for line in lines if line and not line.startswith(("-", "#"))})


def test_the_example_of_local_settings_names_every_setting_and_no_other() -> None:
    values = json.loads((PROJECT / "local.settings.json.example").read_text())["Values"]
    assert set(values) == own_variables() | PLATFORM_VARIABLES
    assert all(isinstance(value, str) for value in values.values())


def test_the_example_of_local_settings_holds_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    values = json.loads((PROJECT / "local.settings.json.example").read_text())["Values"]
    for name in own_variables():
        monkeypatch.delenv(name, raising=False)
    defaults = Settings(postgres_dsn=values[f"{PREFIX}POSTGRES_DSN"])
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    given = Settings()
    own = {name for name, field in Settings.model_fields.items() if not field.validation_alias}
    assert given.model_dump(include=own) == defaults.model_dump(include=own)


@pytest.mark.parametrize("host_json", ["host.json", "tests/acceptance/app/host.json", "tests/chaos/app/host.json"])
def test_a_worker_is_given_a_message_of_a_queue_for_each_of_its_processes_and_none_to_wait(host_json: str) -> None:
    queues = json.loads((PROJECT / host_json).read_text())["extensions"]["queues"]
    assert queues["batchSize"] == Settings(postgres_dsn="-").task_processes
    assert queues["newBatchThreshold"] == 0


def test_every_setting_stands_in_the_operators_table() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    assert [name for name in sorted(own_variables()) if f"`{name}`" not in page] == []


def test_every_dependency_has_its_reason() -> None:
    page = (PROJECT / "docs" / "decisions.md").read_text()
    assert [name for name in requirements() if not re.search(rf"^\| `{re.escape(name)}`", page, re.MULTILINE)] == []


def test_every_requirement_is_pinned() -> None:
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    pin = re.compile(r"""[a-zA-Z0-9_.-]+(\[[a-z]+\])?==[0-9][\w.]*(; python_version [<>]=? "3\.\d+")?""")
    assert lines
    assert [line for line in lines if not pin.fullmatch(line)] == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((PROJECT / "client" / "pyproject.toml").read_text())["project"]
    assert project["version"] == client["version"] == VERSION
    assert (
        f"[{VERSION}]" in (PROJECT / "CHANGELOG.md").read_text()
        or "[Unreleased]" in (PROJECT / "CHANGELOG.md").read_text()
    )


def test_the_page_about_http_names_every_code_of_a_request_error() -> None:
    # By status: further down the page lists all codes, which is made from the list of them.
    page = (PROJECT / "docs" / "http.md").read_text().partition("### All codes")[0]
    codes = request_error_codes()
    assert "work_area_gone" in codes
    assert not [code for code in codes if f"`{code}`" not in page]


def anchors_of(document: Path) -> set[str]:
    """What a link into a page may end in: its headings as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    document = PROJECT / name
    found = re.findall(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)", document.read_text(encoding="utf-8"))
    targets = [(document.parent / path if path else document, anchor) for path, anchor in found]
    assert not [path for path, _ in targets if not path.exists()]
    assert not [anchor for path, anchor in targets if anchor and anchor not in anchors_of(path)]


def test_the_product_is_deployed_whole() -> None:
    ignored = {line.rstrip("/") for line in (PROJECT / ".funcignore").read_text().split()}
    folders = {Path(module.name).parts[0] for module in modules()}
    assert not ignored & {*folders, "host.json", "requirements.txt"}


def test_the_rule_that_clears_results_and_exports_names_where_they_are_written() -> None:
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    (rule,) = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if "prefix" in block]
    (definition,) = [one["definition"] for one in rule["rules"]]
    output = Settings.model_fields["output_container"].default
    assert definition["filters"]["prefixMatch"] == [f"{output}/{RESULTS}", f"{output}/{EXPORTS}"]
    assert definition["actions"]["baseBlob"]["delete"]["daysAfterModificationGreaterThan"] == 90


def test_no_test_module_is_imported_by_another() -> None:
    importing = [
        (module.name, name)
        for module in modules("tests")
        for name in module.imported
        if name.startswith("tests.") and name.rpartition(".")[2].startswith("test_")
    ]
    assert importing == []
