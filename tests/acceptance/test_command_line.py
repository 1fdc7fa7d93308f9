"""geostage, the command line, as people call it: a process of its own against the running stack."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient
from shapely.geometry import Point

from geostage_client.cli import main
from local.hosts import Host
from local.paths import PROJECT
from local.samples import elevation
from local.stack import Stack
from tests.acceptance.client import Api
from tests.fixtures import plain_gdal
from tests.fixtures.vector import boxes, frame
from tests.fixtures.waiting import eventually

COMMAND = [str(Path(sys.executable).with_name("geostage"))]
JOB_ID = re.compile(r"[0-9a-f]{32}")
COLORS = re.compile(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-7])[0-9;]*m")
AWAY = "http://127.0.0.1:1"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All that it printed."""
        return self.out + self.err

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document that --json prints."""
        parsed: dict[str, Any] = json.loads(self.out)
        assert "error" in parsed
        return parsed

    @property
    def job_id(self) -> str:
        """The first job that it names."""
        match = JOB_ID.search(self.out)
        assert match, self.said
        return match[0]


@dataclass(frozen=True)
class Shell:
    """A folder to stand in, and an environment."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command whose output can be read while it runs."""
        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0, **variables: str) -> Done:
        """Run a command to its end, and check its exit code."""
        process = self.start(*words, **variables)
        out, err = process.communicate()
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return Done(code, out, err)


def shell_of(folder: Path, api: str, storage: str, **variables: str) -> Shell:
    system = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Shell(folder, {**system, "GEOSTAGE_API": api, "AZURE_STORAGE_CONNECTION_STRING": storage, **variables})


@pytest.fixture
def shell(stack: Stack, host: Host, tmp_path: Path) -> Shell:
    """The real application, from an empty folder."""
    return shell_of(tmp_path, host.url, stack.storage_connection_string)


@pytest.fixture
def probing(own_stack: Stack, probed: Api, tmp_path: Path) -> Shell:
    """The application with the job type `probe`, whose tasks wait and fail as they are told."""
    return shell_of(tmp_path, str(probed.client.base_url), own_stack.storage_connection_string)


@pytest.fixture
def guarded(stack: Stack, tmp_path: Path) -> Iterator[tuple[Shell, Host]]:
    """A host that asks for its key, and a shell that does not have it."""
    started = stack.start_host(workers=1, auth=True)
    yield shell_of(tmp_path, started.url, stack.storage_connection_string), started
    started.stop()


def write_sparse(path: Path, size: int) -> None:
    """Write a file of zeros that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)


def rows_of(stack: Stack, table: str) -> int:
    with psycopg.connect(stack.postgres_dsn) as connection:
        row = connection.execute("SELECT count(*) FROM geo." + table).fetchone()
    assert row
    return int(row[0])


def exists(stack: Stack, table: str) -> bool:
    with psycopg.connect(stack.postgres_dsn) as connection:
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"geo.{table}"]).fetchone()
    assert row
    return bool(row[0])


def test_a_shapefile_is_loaded_with_its_parts_and_the_end_tells_what_became_of_it(shell: Shell, stack: Stack) -> None:
    boxes(7).to_file(shell.folder / "Straßen & Wege.shp", encoding="UTF-8")
    done = shell.run("load", "Straßen & Wege.shp", "--table", "cli_roads", "--follow")
    assert re.search(r"^table     geo\.cli_roads, Polygon, EPSG:4326$", done.out, re.MULTILINE)
    assert re.search(r"^rows      7 loaded of 7$", done.out, re.MULTILINE)
    assert re.search(r"^next      SELECT \* FROM geo\.cli_roads LIMIT 5;$", done.out, re.MULTILINE)
    assert re.search(r"^stage 3/3 publish: 1 of 1 task done$", done.err, re.MULTILINE)
    assert "\x1b" not in done.said
    assert rows_of(stack, "cli_roads") == 7


def test_a_folder_is_loaded_file_by_file_and_rejected_rows_are_told(shell: Shell, stack: Stack) -> None:
    (shell.folder / "data").mkdir()
    boxes(3).to_file(shell.folder / "data" / "cli one.gpkg")
    plain_gdal.write(frame([Point(1, 2), None, Point(3, 4)]), shell.folder / "data" / "cli_two.geojson")
    (shell.folder / "data" / "readme.txt").write_text("not data")
    done = shell.run("load", "data", "--follow", "--option", "max_rejected=50%")
    assert (rows_of(stack, "cli_one"), rows_of(stack, "cli_two")) == (3, 2)
    assert re.search(r"^rejected  1 \(1 null_geometry\), kept in geo\.cli_two__rejects$", done.out, re.MULTILINE)
    assert re.search(r"^warning   ", done.out, re.MULTILINE)


def test_a_quoted_pattern_and_options_reach_the_jobs(shell: Shell, api: Api) -> None:
    boxes(3).to_file(shell.folder / "cli_a.fgb")
    boxes(3).to_file(shell.folder / "cli_b.fgb")
    files = shell.run("load", "cli_*.fgb", "--option", "chunk_size=2", "--follow", "--json").document["files"]
    assert [(file["file"], file["dataset_id"], file["resource_id"]) for file in files] == [
        ("cli_a.fgb", "bronze", "cli_a.fgb"),
        ("cli_b.fgb", "bronze", "cli_b.fgb"),
    ]
    for file in files:
        assert (file["job"]["status"], file["error"]) == ("completed", None)
        assert api.job(file["job"]["job_id"])["parameters"]["chunk_size"] == 2


def test_a_dry_run_loads_nothing(shell: Shell, stack: Stack) -> None:
    boxes(4).to_file(shell.folder / "cli_dry.gpkg")
    done = shell.run("load", "cli_dry.gpkg", "--dry-run", "--follow")
    assert "geo.cli_dry, which does not exist yet" in done.out
    assert "4 features (4 Polygon)" in done.out
    assert not exists(stack, "cli_dry")


def test_a_file_that_is_refused_is_told_in_a_sentence_with_its_remedy(shell: Shell) -> None:
    (shell.folder / "cli_bad.geojson").write_text("hello")
    done = shell.run("load", "cli_bad.geojson", "--follow", code=1)
    assert re.search(r"^error     wrong_format: .*GeoJSON", done.err, re.MULTILINE)
    assert re.search(r"^remedy    .+", done.err, re.MULTILINE)
    again = shell.run("follow", done.job_id, "--json", code=1).document
    assert again["error"]["code"] == again["job"]["error"]["code"] == "wrong_format"


def test_what_is_wrong_with_a_file_or_an_option_is_told_before_anything_is_sent(shell: Shell, stack: Stack) -> None:
    boxes(1).to_file(shell.folder / "cli_early.gpkg")
    (shell.folder / "cli_empty.gpkg").touch()
    refusals = {
        "0 bytes": ["cli_empty.gpkg", "cli_early.gpkg"],
        "no parameter layr": ["cli_early.gpkg", "--option", "layr=x"],
        "There is no file": ["cli_missing.gpkg"],
    }
    for sentence, words in refusals.items():
        done = shell.run("load", *words, code=1)
        assert sentence in done.err
        assert "remedy" in done.err
        assert done.out == ""
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        assert not service.get_blob_client("bronze", "cli_early.gpkg").exists()


def test_parameters_that_the_server_refuses_are_told_with_where_to_look(shell: Shell) -> None:
    boxes(1).to_file(shell.folder / "cli_refused.gpkg")
    done = shell.run("load", "cli_refused.gpkg", "--option", "chunk_size=0", code=1)
    assert "chunk_size" in done.err
    assert "geostage types process_vector" in done.err


def test_a_raster_becomes_a_cog(shell: Shell, stack: Stack) -> None:
    elevation(shell.folder / "höhe modell.tif")
    words = ("raster", "höhe modell.tif", "--container", "cli-rasters", "--blob", "in/dem é.tif")
    done = shell.run(*words, "--option", "version_id=1", "--follow")
    match = re.search(r"^cog       silver/(cli-rasters/\S.*/1\.tif), ", done.out, re.MULTILINE)
    assert match
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        assert service.get_blob_client("silver", match[1]).exists()


def test_a_job_is_submitted_listed_shown_and_explained(shell: Shell) -> None:
    done = shell.run("submit", "hello_world", '{"n": 3, "message": "Grüezi"}', "--follow")
    assert done.out.count("Grüezi") == 3
    listed = shell.run("jobs", "--type", "hello_world", "--limit", "1")
    assert listed.out.splitlines()[0].split() == ["job", "type", "status", "done", "created"]
    assert done.job_id in listed.out
    shown = shell.run("show", done.job_id, "--tasks")
    assert shown.out.count(f"{done.job_id}-1-") == 3
    assert "completed" in shell.run("explain", done.job_id).out


def test_parameters_come_from_a_file_or_stdin_too(shell: Shell) -> None:
    (shell.folder / "hello.json").write_text('{"n": 2}')
    assert shell.run("submit", "hello_world", "@hello.json", "--json").document["job"]["job_type"] == "hello_world"
    piped = shell.start("submit", "hello_world", "@missing.json")
    assert "missing.json cannot be read" in piped.communicate()[1]
    assert piped.returncode == 1


def test_types_are_listed_and_shown_with_defaults_and_an_example_that_runs(shell: Shell) -> None:
    assert "process_vector" in shell.run("types").out
    shown = shell.run("types", "process_vector").out
    assert re.search(r"^chunk_size +integer 1\.\.100000 +10000 +\w", shown, re.MULTILINE)
    assert re.search(r"^resource_id +string +required +\w", shown, re.MULTILINE)
    example = shell.run("types", "hello_world").out.splitlines()[-1]
    assert example.startswith("geostage submit hello_world ")
    ran = subprocess.run(
        ["bash", "-c", example.replace("geostage", COMMAND[0], 1)],
        env=shell.environment,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Is it hello_world" in shell.run("types", "hello_wrld", code=1).err


def test_every_command_speaks_json_with_the_same_keys(probing: Shell) -> None:
    job_id = probing.run("submit", "probe", '{"seconds": 0}', "--follow", "--json").document["job"]["job_id"]
    expected = {
        ("jobs",): {"jobs"},
        ("show", job_id): {"job"},
        ("show", job_id, "--tasks"): {"job", "tasks"},
        ("follow", job_id): {"job"},
        ("explain", job_id): {"explain"},
        ("types",): {"job_types"},
        ("types", "probe"): {"job_type"},
        ("health",): {"health"},
    }
    for words, keys in expected.items():
        done = probing.run(*words, "--json")
        assert (set(done.document), done.document["error"], done.err) == ({*keys, "error"}, None, "")
    for words in (("cancel", job_id), ("retry", job_id), ("show", "0" * 32), ("submit", "nothing")):
        done = probing.run(*words, "--json", code=1)
        assert set(done.document["error"]) == {"message", "remedy", "code", "status", "errors"}
        assert done.document["error"]["remedy"]


def test_a_failed_job_is_tried_again_and_a_running_one_cancelled(probing: Shell) -> None:
    failed = probing.run("submit", "probe", '{"fail": "first"}', "--follow", code=1)
    assert f"geostage retry {failed.job_id}" in failed.err
    assert "hunter2" not in failed.said
    assert "completed" in probing.run("retry", failed.job_id, "--follow").out
    running = probing.run("submit", "probe", '{"seconds": 120}')
    assert f"geostage follow {running.job_id}" in running.out
    assert "cancelled" in probing.run("cancel", running.job_id).out
    assert "cancelled" in probing.run("follow", running.job_id, code=1).err


def test_ctrl_c_while_following_leaves_the_job_alone_and_says_how_to_go_on(probing: Shell, probed: Api) -> None:
    job_id = probing.run("submit", "probe", '{"seconds": 120}').job_id
    process = probing.start("follow", job_id)
    assert process.stderr
    assert "execute" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "the job goes on" in said
    assert f"geostage follow {job_id}" in said
    assert probed.job(job_id)["status"] in ("queued", "processing")
    probing.run("cancel", job_id)


def test_ctrl_c_during_an_upload_submits_nothing(shell: Shell, api: Api) -> None:
    write_sparse(shell.folder / "cli_stopped.csv", 2**33)
    before = api.get("jobs?limit=1").json()["jobs"]
    process = shell.start("load", "cli_stopped.csv")
    assert process.stderr
    assert "0 bytes of 8.6 GB" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "nothing was submitted" in said
    assert api.get("jobs?limit=1").json()["jobs"] == before


def test_a_large_file_is_streamed_in_bounded_memory_with_progress(shell: Shell, stack: Stack) -> None:
    size = 300 * 2**20
    write_sparse(shell.folder / "cli_large.csv", size)
    process = shell.start("load", "cli_large.csv")
    assert process.stderr
    # ru_maxrss would count what the process was before its exec: a copy of this one.
    lines, peaks = [], [0]
    for line in process.stderr:
        lines.append(line.strip())
        status = Path(f"/proc/{process.pid}/status").read_text()
        peaks += [int(kilobytes) * 1024 for kilobytes in re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)]
    assert JOB_ID.search(process.communicate(timeout=60)[0])
    assert process.returncode == 0, lines
    assert 0 < max(peaks) < size / 2
    assert len(lines) == 11
    assert lines[-1] == "upload    cli_large.csv, 314.6 MB of 314.6 MB"
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        assert service.get_blob_client("bronze", "cli_large.csv").get_blob_properties().size == size
        service.get_blob_client("bronze", "cli_large.csv").delete_blob()


def test_a_server_or_a_storage_that_is_away_is_told_with_where_it_was_looked_for(shell: Shell, stack: Stack) -> None:
    boxes(1).to_file(shell.folder / "cli_away.gpkg")
    done = shell.run("load", "cli_away.gpkg", code=1, GEOSTAGE_API=f"{AWAY}/api")
    assert "(from GEOSTAGE_API) cannot be reached" in done.err
    away = re.sub(r"BlobEndpoint=[^;]+", f"BlobEndpoint={AWAY}/devstoreaccount1", stack.storage_connection_string)
    for storage, said in (
        (away, "127.0.0.1:1 cannot be reached"),
        ("nonsense", "not given as a valid connection string"),
        ("", "No storage"),
    ):
        done = shell.run("load", "cli_away.gpkg", code=1, AZURE_STORAGE_CONNECTION_STRING=storage)
        assert said in done.err
        assert "AccountKey" not in done.said
        assert "remedy" in done.err


def test_a_storage_key_that_is_wrong_is_refused_without_being_shown(shell: Shell, stack: Stack) -> None:
    boxes(1).to_file(shell.folder / "cli_storage.gpkg")
    wrong = "d3Jvbmcga2V5"
    storage = re.sub(r"AccountKey=[^;]+", f"AccountKey={wrong}", stack.storage_connection_string)
    done = shell.run("load", "cli_storage.gpkg", code=1, AZURE_STORAGE_CONNECTION_STRING=storage)
    assert "Blob Storage" in done.err
    assert wrong not in done.said


def test_an_api_with_a_key_takes_it_from_the_environment_or_a_file_and_it_never_shows(
    guarded: tuple[Shell, Host],
) -> None:
    shell, host = guarded
    (shell.folder / "key").write_text(f"{host.key}\n")
    boxes(2).to_file(shell.folder / "cli_key.gpkg")
    load = ("load", "cli_key.gpkg", "--follow")
    done = [
        shell.run(*load, GEOSTAGE_KEY=host.key),
        shell.run("jobs", "--key-file", "key", "--json"),
        shell.run("health"),
        shell.run("jobs", code=1),
        shell.run(*load, code=1, GEOSTAGE_KEY=f"x{host.key}"),
        shell.run("jobs", "--key", host.key, code=2),
        shell.run("show", "0" * 32, code=1, GEOSTAGE_KEY=host.key),
    ]
    assert not [one for one in done if host.key in one.said]
    assert "asks for a key, and none was given" in done[3].err
    assert "refused the key from GEOSTAGE_KEY" in done[4].err
    assert "--key-file" in done[4].err


def test_a_terminal_sees_progress_in_color_unless_it_wants_none(shell: Shell) -> None:
    boxes(2).to_file(shell.folder / "cli_terminal.gpkg")
    words = ("load", "cli_terminal.gpkg", "--follow")
    assert COLORS.search(on_terminal(shell, *words))
    plain = on_terminal(shell, *words, NO_COLOR="1")
    assert not COLORS.search(plain)
    assert "2 loaded of 2" in plain


def on_terminal(shell: Shell, *words: str, **variables: str) -> str:
    """All that a command writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    environment = {**shell.environment, "TERM": "xterm-256color", **variables}
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=shell.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65_536):
            said += part
    except OSError:
        # Linux tells the end of a terminal as an error.
        assert process.wait(timeout=60) == 0, said.decode()
    os.close(ours)
    return said.decode()


def test_the_running_stack_is_found_by_itself(
    stack: Stack, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del host
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "dev").symlink_to(stack.folder)
    boxes(2).to_file(tmp_path / "cli_found.gpkg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", "/usr")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=another")
    monkeypatch.delenv("GEOSTAGE_API", raising=False)
    assert main(["load", "cli_found.gpkg", "--follow"]) == 0
    assert "./dev env --qgis" in capsys.readouterr().out
    assert eventually(lambda: exists(stack, "cli_found"))


def test_dev_geostage_where_no_stack_runs_says_how_to_start_one(tmp_path: Path) -> None:
    (tmp_path / "dev").write_bytes((PROJECT / "dev").read_bytes())
    done = subprocess.run(
        ["bash", str(tmp_path / "dev"), "geostage", "jobs"], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 1
    assert "./dev up" in done.stderr
