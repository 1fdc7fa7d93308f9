"""The commands behind ./dev."""

import argparse
import importlib
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from local import demo, qgis
from local.api import wait_for_health
from local.errors import StackError
from local.hosts import read_status
from local.paths import DEFAULT_STACK, LOCAL, PROJECT
from local.servers.processes import stop
from local.stack import Stack
from local.state import StackState, stop_all
from schema.settings import POSTGRES_DSN_VARIABLE

REQUIRE_STACK = "GEOSTAGE_REQUIRE_STACK"  # read by tests/conftest.py: a missing server is a failure
RUNTIME_PYTHONS = "GEOSTAGE_RUNTIME_PYTHONS"  # further interpreters for tests/runtime, as in PATH; ./dev sets it in CI
CHECKS = (
    ("lint", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "."]),
    ("types", ["mypy"]),
)
# Whole files, so that what a module's fixtures start is started once; in the order of the folders, not by the number
# of tests in a file: the few long files come first and the many short ones last, and both processes end together.
PARALLEL = ("--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder")
ONE_PROCESS = ("-n", "--numprocesses", "-x", "--exitfirst", "--maxfail", "--pdb", "--trace", "-s", "--capture")


def up(options: argparse.Namespace) -> int:
    """Run a stack in the foreground until Ctrl-C or ./dev down."""
    with Stack(options.name) as stack:
        stack.migrate()
        host = stack.start_host(options.workers, port=options.port, auth=options.auth)
        wait_for_health(host.url)
        if options.auth:
            print(f"key {host.key}", flush=True)
        print(f"ready {host.url}", flush=True)
        print(f"logs  {stack.log_folder.relative_to(PROJECT)}", file=sys.stderr, flush=True)
        while host.running():
            time.sleep(0.5)
        raise StackError(f"The host ended unexpectedly. Its log is {host.log}.")


def down(options: argparse.Namespace) -> int:
    """Stop a running stack: ask its owner, who stops what it started."""
    folder = LOCAL / options.name
    state = StackState.read(folder / "state.json")
    if not state.processes:
        print(f"The stack '{options.name}' is not running.", file=sys.stderr)
        return 0
    if state.owner is not None:
        stop(state.owner, signal.SIGTERM, grace=60.0)
    # An owner that was killed has left this to its leash; help it.
    stop_all(StackState.read(folder / "state.json"))
    (folder / "state.json").unlink(missing_ok=True)
    return 0


def env(options: argparse.Namespace) -> int:
    """Print export lines of a running stack, for `eval "$(./dev env)"`; with --qgis, how to open what jobs made."""
    folder = LOCAL / options.name
    state = StackState.read(folder / "state.json")
    if not state.running:
        raise StackError(f"The stack '{options.name}' is not running. Start it with ./dev up.")
    if options.qgis:
        print(qgis.describe(state))
        return 0
    pids = read_status(folder / "host-1.json").get("pids", [])
    values = {
        "GEOSTAGE_API": state.api,
        **({"GEOSTAGE_KEY": state.key} if state.key else {}),
        POSTGRES_DSN_VARIABLE: state.postgres_dsn,
        "AZURE_STORAGE_CONNECTION_STRING": state.storage_connection_string,
        "GEOSTAGE_PIDS": " ".join(str(pid) for pid in pids),
    }
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def test(options: argparse.Namespace) -> int:
    """Run lint, types and every test; all of them, even when an earlier one fails."""
    began = time.monotonic()
    others = os.environ.get(RUNTIME_PYTHONS, "").replace(os.pathsep, ", ")
    print(f"== Python {platform.python_version()}; tests/runtime also on: {others or 'no other'}", flush=True)
    # Unbuffered, so that the lines of progress arrive while the tests run, in a file or a pipe too.
    environment = {**os.environ, REQUIRE_STACK: "1", "PYTHONUNBUFFERED": "1"}
    failed = []
    steps = [*CHECKS, ("tests", ["pytest", *parallel_options(options.arguments), *options.arguments])]
    for number, (name, command) in enumerate(steps, start=1):
        print(f"== {number} of {len(steps)}, {name}: {shlex.join(command)}", flush=True)
        done = subprocess.run([sys.executable, "-m", *command], cwd=PROJECT, env=environment, check=False)
        failed += [name] if done.returncode else []
        outcome = "failed" if done.returncode else "passed"
        print(f"== {name} {outcome}, {time.monotonic() - began:.0f} s since the start", flush=True)
    if failed:
        print(f"== failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def parallel_options(arguments: list[str]) -> tuple[str, ...]:
    """Return pytest's options for two processes; none for a single file, or where its arguments ask for one."""
    named = {argument.partition("::")[0] for argument in arguments if not argument.startswith("-")}
    paths = [PROJECT / name for name in named if (PROJECT / name).exists()]
    one_file = len(paths) == 1 and paths[0].is_file()
    return () if one_file or any(argument.startswith(ONE_PROCESS) for argument in arguments) else PARALLEL


def bench(options: argparse.Namespace) -> int:
    """Run tests/bench/<name>.py: its main(stack, arguments), on a fresh stack of its own."""
    scripts = (PROJECT / "tests" / "bench").glob("[a-z]*.py")
    modules = sorted(path.stem for path in scripts if "\ndef main(" in path.read_text(encoding="utf-8"))
    if options.name not in modules:
        wrong = f"There is no benchmark '{options.name}'. " if options.name else ""
        raise StackError(f"{wrong}Choose one: ./dev bench {' | '.join(modules)}")
    run: Callable[[Stack, list[str]], int | None] = importlib.import_module(f"tests.bench.{options.name}").main
    with Stack.spare("bench", fresh=True) as stack:
        stack.migrate()
        return run(stack, options.arguments) or 0


def main() -> int:
    """Run one command, and return the exit code."""
    options = parser().parse_args()
    # Ended by a signal as by Ctrl-C: through the context managers, so that everything that was started is stopped.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        code: int = options.command(options)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of ./dev, which sets `command`."""
    root = argparse.ArgumentParser(prog="./dev")
    commands = root.add_subparsers(required=True)
    add = commands.add_parser("demo")
    add.add_argument("--keep", action="store_true")
    add.set_defaults(command=demo.run)
    add = commands.add_parser("up")
    add.add_argument("--workers", type=int, default=2)
    add.add_argument("--port", type=int)
    add.add_argument("--auth", action="store_true")
    add.add_argument("--name", default=DEFAULT_STACK)
    add.set_defaults(command=up)
    for name, command in (("down", down), ("env", env)):
        add = commands.add_parser(name)
        add.add_argument("name", nargs="?", default=DEFAULT_STACK)
        add.set_defaults(command=command)
        if name == "env":
            add.add_argument("--qgis", action="store_true")
    add = commands.add_parser("bench")
    add.add_argument("name", nargs="?", default="")
    add.add_argument("arguments", nargs=argparse.REMAINDER)
    add.set_defaults(command=bench)
    # The arguments of `test` are pytest's own, options first too, which argparse would take for its own.
    add = commands.add_parser("test", prefix_chars="\0", add_help=False)
    add.add_argument("arguments", nargs="*")
    add.set_defaults(command=test)
    return root


if __name__ == "__main__":
    sys.exit(main())
