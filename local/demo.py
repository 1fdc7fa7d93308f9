"""./dev demo: real files become PostGIS tables and COGs, on a stack that is started for it and stopped after it.

With --keep it is the stack of ./dev up, which goes on running.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import psycopg
import rasterio
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from psycopg import sql

from local import background
from local.api import Jobs, wait_for_health
from local.errors import StackError
from local.paths import DEFAULT_STACK, LOCAL, PROJECT
from local.stack import Stack
from local.state import StackState

CONTAINER = "bronze"
SCHEMA = "geo"
SAMPLES = LOCAL / "samples"


@dataclass(frozen=True)
class Layer:
    """A sample file and the table that it becomes."""

    file: str
    table: str
    source: str  # where the data come from
    columns: tuple[str, str]  # shown of the table


LAYERS = (
    Layer("counties_usa.zip", "us_counties", "US counties, Census Bureau, npm us-atlas 3.0.1", ("geoid", "name")),
    Layer("countries.geojson", "countries_geojson", "Natural Earth countries, from pyogrio", ("iso_a3", "name")),
    Layer("countries.gpkg", "countries_gpkg", "Natural Earth countries, from pyogrio", ("iso_a3", "name")),
)
RASTER = "jacksboro_dem.tif"
TILE_GB = 0.0001
STAC_SEARCH = "search(%s)"  # with pgstac in the search_path
SEARCH = {"bbox": [-84.4, 36.5, -84.3, 36.6]}
HELLOS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hello_world", {"n": 3, "message": "Hello from the demo"}),
    ("hello_world_sequential", {"n": 3}),
)

NEXT = """\
  ./dev demo --keep                       the same again, and the stack goes on running
  ./dev up                                a stack to work with, until Ctrl-C
  ./dev geostage load FILE --follow       your own file becomes a table in it, from another terminal
  README.md                               how to look at the result, and all the rest"""
NEXT_KEPT = """\
  ./dev geostage load FILE --follow       your own file becomes a table
  ./dev geostage jobs                     the jobs of this demo
  eval "$(./dev env)"                     the stack's addresses as variables of this terminal, for:
  psql "$GEOSTAGE_POSTGRES_DSN" -c 'SELECT geoid, name FROM geo.us_counties LIMIT 5'
  ./dev down                              stop the stack; what it holds is there again at the next ./dev up"""


def run(options: argparse.Namespace) -> int:
    """Run the whole demo; returns the exit code."""
    began = time.monotonic()
    _say("making the sample files, starting PostgreSQL, Azurite and the host with 2 workers")
    subprocess.run([sys.executable, "-m", "local.samples", str(SAMPLES)], cwd=PROJECT, check=True)
    with _stack(keep=options.keep) as stack:
        _upload(stack)
        jobs = Jobs(stack.api)
        ended = [_hello(jobs, job_type, parameters) for job_type, parameters in HELLOS]
        ended += [_load(jobs, layer, stack.postgres_dsn) for layer in LAYERS]
        ended.append(_process_raster(jobs, stack.postgres_dsn))
        ended.append(_tile_raster(jobs, stack))
    _say(ending(ended, time.monotonic() - began, stack.api if options.keep else ""))
    return 0 if all(ended) else 1


def ending(completed: Sequence[bool], seconds: float, kept_api: str) -> str:
    """Return the last lines: what became of each job and of the stack, and which commands to try next.

    `kept_api` is the URL of a stack that goes on running, empty when everything was stopped.
    """
    stack = f"the stack goes on running at {kept_api}" if kept_api else "everything is stopped"
    jobs = f"{sum(completed)} of {len(completed)} jobs completed in {seconds:.0f} s; {stack}"
    return f"\n{jobs}\n\nWhat next\n{NEXT_KEPT if kept_api else NEXT}"


@contextlib.contextmanager
def _stack(*, keep: bool) -> Iterator[StackState]:
    """Yield the stack to work on: that of ./dev up, which goes on running, or one that is stopped at the end."""
    with contextlib.ExitStack() as stopping:
        if keep:
            name, state = DEFAULT_STACK, background.join(DEFAULT_STACK)
            if httpx.get(f"{state.api}/jobs", timeout=30).status_code == HTTPStatus.UNAUTHORIZED:
                raise StackError(
                    f"The stack '{name}' was started with --auth, and the demo does not have its key. "
                    "Stop it with ./dev down, then run the demo again."
                )
        else:
            stack = stopping.enter_context(Stack.spare("demo"))
            stack.migrate()
            wait_for_health(stack.start_host(workers=2).url)
            name, state = stack.name, stack.state
        _say(f"serving {state.api}, logs in {(LOCAL / name / 'log').relative_to(PROJECT)}")
        yield state


def _upload(stack: StackState) -> None:
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        container = service.get_container_client(CONTAINER)
        with contextlib.suppress(ResourceExistsError):
            container.create_container()
        for name in (*(layer.file for layer in LAYERS), RASTER):
            container.upload_blob(name, (SAMPLES / name).read_bytes(), overwrite=True)


def _hello(jobs: Jobs, job_type: str, parameters: dict[str, Any]) -> bool:
    _title(job_type, json.dumps(parameters))
    job = jobs.follow(jobs.submit(job_type, parameters))
    _outcome(job)
    result = job.get("result_data") or {}
    messages = [talk["stage3_response"] for talk in result.get("stage_conversations", ())] or result.get("messages", ())
    for message in messages[:1]:
        _line("says", message)
    return bool(job["status"] == "completed")


def _load(jobs: Jobs, layer: Layer, dsn: str) -> bool:
    _title("process_vector", f"{CONTAINER}/{layer.file} -> {SCHEMA}.{layer.table}")
    _line("data", layer.source)
    parameters = {"dataset_id": CONTAINER, "resource_id": layer.file, "target_table": layer.table}
    job = jobs.follow(jobs.submit("process_vector", parameters))
    _outcome(job)
    if job["status"] != "completed":
        return False
    result = job["result_data"]
    stats = result["preprocessing_stats"]
    loaded = f"{result['total_features_loaded']:,} of {stats['original_feature_count']:,}"
    _line("rows", f"{loaded} features, {result['geometry_type']}, {stats['repaired']} repaired")
    for label, line in zip(("sql", ""), _peek(dsn, layer), strict=True):
        _line(label, line)
    return True


def _process_raster(jobs: Jobs, dsn: str) -> bool:
    _title("process_raster", f"{CONTAINER}/{RASTER}")
    _line("data", "Elevation of the Jacksboro fault, USGS, from matplotlib's sample data")
    job = jobs.follow(jobs.submit("process_raster", {"dataset_id": CONTAINER, "resource_id": RASTER}))
    _outcome(job)
    if job["status"] != "completed":
        return False
    result = job["result_data"]
    _line("steps", ", ".join(f"{name} {step:.2f} s" for name, step in result["processing_stats"].items()))
    _line("cog", result["cog_path"])
    with psycopg.connect(dsn, options="-c search_path=pgstac,public") as connection:
        row = connection.execute(f"SELECT {STAC_SEARCH}", [json.dumps(SEARCH)]).fetchone()
    found = [feature["id"] for feature in row[0]["features"]] if row else []
    _line("search", f"SELECT {STAC_SEARCH.replace('%s', repr(json.dumps(SEARCH)))}")
    _line("", f"finds {', '.join(found) or 'nothing'}")
    return result["stac_id"] in found


def _tile_raster(jobs: Jobs, stack: StackState) -> bool:
    _title("tile_raster", f"{CONTAINER}/{RASTER}, tiles of {TILE_GB * 1e9:,.0f} bytes")
    parameters = {"dataset_id": CONTAINER, "resource_id": RASTER, "version_id": "tiles", "target_tile_size_gb": TILE_GB}
    job = jobs.follow(jobs.submit("tile_raster", parameters))
    _outcome(job)
    if job["status"] != "completed":
        return False
    result = job["result_data"]
    for tile in result["tiles"]:
        _line("tile", f"{tile['cog_path']} {[round(side, 4) for side in tile['bounds']]}")
    mosaic = f"/vsiaz/{result['vrt_path']}"
    with (
        rasterio.Env(AZURE_STORAGE_CONNECTION_STRING=stack.storage_connection_string),
        rasterio.open(mosaic) as dataset,
    ):
        pixels = dataset.read(1, masked=True)
    _line(
        "mosaic", f"{mosaic} opens as {dataset.width} x {dataset.height} pixels from {pixels.min()} to {pixels.max()} m"
    )
    return bool(pixels.count() > 0)


def _peek(dsn: str, layer: Layer) -> tuple[str, str]:
    """Return a query and, in one line, its answer: the row with the most points."""
    with psycopg.connect(dsn) as connection:
        table = sql.Identifier(SCHEMA, layer.table)
        geometry = connection.execute(
            "SELECT f_geometry_column FROM geometry_columns WHERE f_table_schema = %s AND f_table_name = %s",
            [SCHEMA, layer.table],
        ).fetchone()
        if geometry is None:
            raise StackError(f"The table {SCHEMA}.{layer.table} does not exist, although its job completed.")
        query = sql.SQL("SELECT {}, ST_NPoints({}) FROM {} ORDER BY 3 DESC LIMIT 1").format(
            sql.SQL(", ").join(sql.Identifier(column) for column in layer.columns), sql.Identifier(geometry[0]), table
        )
        row = connection.execute(query).fetchone() or ()
    return query.as_string().replace('"', ""), "  ".join(f"{value}" for value in row)


def _outcome(job: dict[str, Any]) -> None:
    stages = []
    for stage in job["stage_history"]:
        tasks = "1 task" if stage["task_count"] == 1 else f"{stage['task_count']} tasks"
        stages.append(f"{stage['stage']} {stage['duration_seconds']:.2f} s ({tasks})")
    _line(job["status"], ", ".join(stages))
    for warning in job["warnings"]:
        _line("warning", warning["message"])
    error = job.get("error")
    if error:
        _line("error", f"{error['code']}: {error['message']}")
        _line("remedy", error["remediation"])


def _title(job_type: str, detail: str) -> None:
    _say(f"\n{job_type}\n  {detail}")


def _line(label: str, text: str) -> None:
    _say(f"  {label:<14}{text}")


def _say(text: str) -> None:
    print(text, flush=True)
