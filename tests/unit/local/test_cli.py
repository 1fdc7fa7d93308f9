"""The commands behind ./dev, as far as they need no server."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import cli
from local.errors import StackError
from local.paths import PROJECT
from local.servers.processes import ProcessId
from local.state import StackState

DEV = argparse.Namespace(name="dev", qgis=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cli, "LOCAL", tmp_path)
    (tmp_path / "dev").mkdir()
    return tmp_path / "dev"


def write_state(folder: Path, owner: ProcessId) -> None:
    StackState({"owner": owner}, {}, "postgresql://a:b@c/d", "Key=1;Other=2;", "http://127.0.0.1:7071/api", "k").write(
        folder / "state.json"
    )
    (folder / "host-1.json").write_text(json.dumps({"url": "x", "pids": [41, 42], "ready": True}))


def test_env_prints_lines_that_a_shell_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    write_state(folder, me)
    assert cli.env(DEV) == 0
    script = (
        capsys.readouterr().out + 'echo "$GEOSTAGE_API $GEOSTAGE_KEY $AZURE_STORAGE_CONNECTION_STRING $GEOSTAGE_PIDS"'
    )
    said = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=True).stdout
    assert said == "http://127.0.0.1:7071/api k Key=1;Other=2; 41 42\n"


def test_env_of_a_stack_whose_owner_is_gone_is_refused(folder: Path) -> None:
    write_state(folder, ProcessId(os.getpid(), -1))
    with pytest.raises(StackError, match=r"is not running\. Start it with \./dev up"):
        cli.env(DEV)


def test_down_of_a_stack_that_does_not_run_is_no_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.down(DEV) == 0
    assert "is not running" in capsys.readouterr().err
    write_state(folder, ProcessId(os.getpid(), -1))
    assert cli.down(DEV) == 0
    assert not (folder / "state.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["-q", "tests/unit"], ["tests/unit/test_log.py", "tests/unit/test_views.py"], ["-k", "cancel"]],
)
def test_tests_run_in_two_processes(arguments: list[str]) -> None:
    assert "--numprocesses=2" in cli.parallel_options(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["tests/unit/test_log.py"],
        ["tests/unit/test_log.py::test_a", "tests/unit/test_log.py::test_b"],
        ["tests/unit", "-x"],
        ["tests/unit", "--pdb"],
        ["-n0"],
    ],
)
def test_tests_run_in_one_process_that_is_asked_for_or_for_one_file(arguments: list[str]) -> None:
    assert cli.parallel_options(arguments) == ()


def test_help_names_every_command() -> None:
    said = subprocess.run([PROJECT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    for command in ("demo", "test", "up", "down", "env", "bench", "geostage"):
        assert f"./dev {command}" in said


def test_an_unknown_command_is_refused_with_the_usage() -> None:
    done = subprocess.run([PROJECT / "dev", "deploy"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "./dev demo" in done.stderr


def test_a_python_that_is_named_and_does_not_work_is_refused() -> None:
    environment = {**os.environ, "GEOSTAGE_PYTHON": "/bin/false"}
    done = subprocess.run([PROJECT / "dev", "up"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("GEOSTAGE_PYTHON=/bin/false does not work. Geostage needs Python 3.11 to 3.14 with")


@pytest.mark.parametrize("named", [None, sys.executable, f"python3.{sys.version_info.minor}"])
def test_a_python_is_found_behind_shims_that_refuse_to_run(tmp_path: Path, named: str | None) -> None:
    for name in ("python3", *(f"python3.{minor}" for minor in range(11, 15))):
        (tmp_path / name).write_text("#!/bin/sh\necho 'not installed' >&2\nexit 127\n")
        (tmp_path / name).chmod(0o755)
    if named == f"python3.{sys.version_info.minor}":
        (tmp_path / named).unlink()
    functions = r"sed -n '/^VERSIONS=/p; /^usable()/,/^}/p; /^find_python()/,/^}/p; /^choose_python()/,/^}/p' dev"
    here = {"PATH": f"{tmp_path}:{Path(sys.base_prefix) / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    environment = here if named is None else {**here, "GEOSTAGE_PYTHON": named}
    command = ["bash", "-ec", f"source <({functions}); choose_python"]
    found = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout
    program = "import sys, venv, ensurepip; print(sys.version_info[:2] >= (3, 11), sys.prefix == sys.base_prefix)"
    said = subprocess.run([found.strip(), "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "True True\n"
