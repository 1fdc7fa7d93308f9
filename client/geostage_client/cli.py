"""`geostage`: the command line, its options, and its exit codes.

0 done, 1 refused or failed, 2 a wrong command line, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import NoReturn

from geostage_client.api import Api
from geostage_client.connection import Options, connect
from geostage_client.errors import ClientError, Interrupted, UsageError
from geostage_client.output import Output
from geostage_client.session import Session

DEFAULT_CONTAINER = "bronze"
COMMANDS = {
    "load": ("load", "upload vector files and load them into PostGIS tables"),
    "raster": ("load", "upload GeoTIFFs and make COGs with STAC items of them"),
    "submit": ("jobs", "submit a job of any type"),
    "jobs": ("jobs", "list jobs, newest first"),
    "show": ("jobs", "show a job, its result and its tasks"),
    "follow": ("jobs", "follow a job to its end"),
    "cancel": ("jobs", "cancel a job"),
    "retry": ("jobs", "try a failed job again"),
    "explain": ("jobs", "show why a job is where it is, and what would help"),
    "types": ("types", "list the job types, or the parameters of one"),
    "health": ("health", "check whether the deployment can work"),
}
"""By name the module of geostage_client.commands, which is imported only when it is asked for: the Azure SDK alone
takes half a second. And what the command does."""
EPILOG = """\
The API is --api, GEOSTAGE_API, or the local stack that runs in this folder (./dev up). Its key is in GEOSTAGE_KEY or
the file of --key-file. Files go to AZURE_STORAGE_CONNECTION_STRING or --storage-account.
Exit codes: 0 done, 1 refused or failed, 2 a wrong command line, 130 Ctrl-C."""


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", remedy=f"{self.prog} --help shows what there is.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(as_json="--json" in words)
    try:
        return _run(words, output)
    except KeyboardInterrupt:
        error: ClientError = Interrupted("Stopped.", remedy="geostage jobs lists what was submitted.")
    except ClientError as exc:
        error = exc
    output.document({}, error)
    output.error(error)
    return error.exit_code


def _run(words: list[str], output: Output) -> int:
    refuse_keys(words)
    root, parsers = build_parsers()
    if not words or words[0] in ("-h", "--help", "--version"):
        root.parse_args(words or ["--help"])
    parser = parsers.get(words[0])
    if parser is None and words[0].startswith("-"):
        raise UsageError("Options follow the command.", remedy="As in geostage jobs --json.")
    if parser is None:
        like = difflib.get_close_matches(words[0], parsers, n=2)
        near = f"Is it {' or '.join(like)}? " if like else ""
        raise UsageError(f"{words[0]!r} is not a command.", remedy=f"{near}geostage --help lists the commands.")
    # Files may stand between options, in any order: geostage load a.gpkg --follow b.gpkg
    options, unknown = parser.parse_known_intermixed_args(words[1:])
    if unknown:
        raise _unknown_words(unknown, parser)
    connection = connect(Options(options.api, options.key_file, options.storage_account), os.environ)
    module = importlib.import_module(f"geostage_client.commands.{COMMANDS[words[0]][0]}")
    command: Callable[[Session, Namespace], int] = getattr(module, words[0])
    with Api(connection) as api:
        return command(Session(connection, api, output), options)


def refuse_keys(words: Sequence[str]) -> None:
    """Refuse a key on the command line, without showing it. Raises UsageError."""
    if any(word == "--key" or word.startswith("--key=") for word in words):
        raise UsageError(
            "There is no option --key: every user of this machine can read the arguments of its processes.",
            remedy="Set GEOSTAGE_KEY, or name a file that holds the key with --key-file.",
        )


def _unknown_words(words: Sequence[str], parser: ArgumentParser) -> UsageError:
    """Return the error for what a command does not know; what follows an unknown option, maybe a key, is not shown."""
    names = [word.partition("=")[0] for word in words if word.startswith("-")]
    if not names:
        return UsageError(
            f"Too many arguments: {' '.join(words)}.", remedy=f"{parser.prog} --help shows what there is."
        )
    like = difflib.get_close_matches(names[0], re.findall(r"--[a-z-]+", parser.format_help()), n=2)
    remedy = f"{parser.prog} --help shows what there is."
    return UsageError(
        f"There is no option {names[0]}.",
        remedy=f"Is it {' or '.join(dict.fromkeys(like))}? {remedy}" if like else remedy,
    )


def build_parsers() -> tuple[ArgumentParser, Mapping[str, ArgumentParser]]:
    """Return the parser of the whole command line, and that of each command."""
    root = _Parser(
        prog="geostage",
        description="Load geospatial files with Geostage, and follow its jobs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    root.add_argument("--version", action="version", version=f"geostage {version('geostage-client')}")
    added = root.add_subparsers(metavar="COMMAND", required=True)
    parsers = {
        name: added.add_parser(name, help=what, description=f"{what[:1].upper()}{what[1:]}.", allow_abbrev=False)
        for name, (_, what) in COMMANDS.items()
    }
    for name, parser in parsers.items():
        _add_arguments(name, parser)
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument("--api", metavar="URL", help="URL of the API, as https://APP.azurewebsites.net/api")
        parser.add_argument("--key-file", metavar="FILE", help="file that holds the function key")
        parser.add_argument(
            "--storage-account", metavar="NAME", help="storage account to upload to, signing in to Azure"
        )
    return root, parsers


def _add_arguments(name: str, parser: ArgumentParser) -> None:
    if name in ("load", "raster"):
        _add_files(name, parser)
    elif name == "submit":
        parser.add_argument("job_type", metavar="TYPE", help="as geostage types lists them")
        parser.add_argument(
            "parameters", metavar="JSON", nargs="?", default="{}", help="parameters; @FILE reads them, - takes stdin"
        )
    elif name == "jobs":
        parser.add_argument("--status", help="only jobs of this status")
        parser.add_argument("--type", metavar="TYPE", help="only jobs of this type")
        parser.add_argument("--limit", metavar="N", type=_limit, default=20, help="how many (20)")
    elif name == "types":
        parser.add_argument("job_type", metavar="TYPE", nargs="?", help="show this one with its parameters")
    elif name != "health":
        parser.add_argument("job_id", metavar="ID", help="id of the job")
    if name == "show":
        parser.add_argument("--tasks", action="store_true", help="each task too, with its error")
    if name in ("submit", "retry"):
        parser.add_argument("--follow", action="store_true", help="wait for the end of the job, and show what it made")


def _add_files(name: str, parser: ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="files, folders, or quoted patterns; of a shapefile the .shp"
    )
    if name == "load":
        parser.add_argument("--table", metavar="T", help="name of the table; by default made of the file's name")
        parser.add_argument(
            "--dry-run", action="store_true", help="only look at the file, and report what would be done"
        )
    job_type = "process_vector" if name == "load" else "process_raster"
    parser.add_argument(
        "--option", metavar="K=V", action="append", default=[], help=f"a parameter of {job_type}; may be repeated"
    )
    parser.add_argument("--follow", action="store_true", help="wait for the end of the job, and show what it made")
    parser.add_argument(
        "--container", default=DEFAULT_CONTAINER, help=f"container to upload to ({DEFAULT_CONTAINER}); made if missing"
    )
    parser.add_argument("--blob", metavar="NAME", help="name of the blob; by default the file's name")


def _limit(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 100_000:
        return int(text)
    raise argparse.ArgumentTypeError("must be a whole number from 1 to 100000")
