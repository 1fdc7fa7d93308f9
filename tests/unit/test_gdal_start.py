"""Both copies of GDAL start with the drivers that are named and without a network, whatever is imported first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.gdal import NO_NETWORK
from services.raster.source import gdal as raster_gdal
from tests.fixtures.listener import listening
from tests.unit.conventions.source import PROJECT

_DRIVERS = "import {first}, rasterio\nwith rasterio.Env() as env: print(*env.drivers(), sep=',')"
_FETCH = """
import sys
import services.raster.source.gdal, services.vector.gdal
import rasterio
from rasterio.errors import RasterioIOError
from services.vector.gdal import DataSourceError, pyogrio
url = sys.argv[1]
for name in (url, f"/vsicurl/{url}a.tif", f"/vsicurl?url={url}a.tif", f"/vsizip//vsicurl/{url}a.zip"):
    for read, error in ((pyogrio.read_info, DataSourceError), (rasterio.open, RasterioIOError)):
        try:
            read(name)
        except error:
            continue
        raise SystemExit(f"{name} was opened")
"""


def run(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh process, as a task's child is: the first import of GDAL decides.

    A process of pytest-xdist inherits what its parent has given to GDAL, which must not answer for the program.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GDAL_", "CPL_", "OGR_"))}
    environment = {**own, **variables}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    "first",
    [
        *("services.handlers.raster", "services.handlers.tiling_collect", "services.handlers.catalog"),
        "rasterio.warp, rasterio.crs, cogeo_mosaic.mosaic, services.raster.source.gdal",
    ],
)
def test_rasters_have_the_drivers_that_are_named_and_no_other(first: str) -> None:
    found = run(_DRIVERS.format(first=first))
    assert set(found.stdout.strip().split(",")) == raster_gdal.ALLOWED_DRIVERS, found.stderr


def test_drivers_that_were_registered_before_are_not_overlooked() -> None:
    found = run("import rasterio\nwith rasterio.Env(): pass\nimport services.raster.source.gdal")
    assert "must be imported first" in found.stderr


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_neither_copy_asks_a_host_even_if_it_opens_an_address(tmp_path: Path, variable: str) -> None:
    with listening(tmp_path) as listener:
        found = run(_FETCH, listener.url, **{variable: "127.0.0.1,localhost"})
        assert found.returncode == 0, found.stderr
        assert listener.requests == []


def test_the_environment_of_other_libraries_is_left_alone() -> None:
    names = "import os, services.raster.source.gdal\nprint(*os.environ, sep='\\n')"
    found = run(names, no_proxy="here").stdout.split()
    assert "no_proxy" in found
    assert not {"GDAL_SKIP", *NO_NETWORK} & set(found)
