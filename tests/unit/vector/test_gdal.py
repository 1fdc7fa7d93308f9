"""GDAL has the drivers that are named, and no other that could be led to further files or URLs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from local.paths import PROJECT
from services.vector import gdal
from services.vector.formats import FORMATS


def test_no_other_driver_is_loaded() -> None:
    # In a process that loads what a worker's child does, in its order: the first import of GDAL decides.
    loads = "import json, services.vector.tasks, services.vector.gdal as gdal"
    look = f"{loads}; print(json.dumps([*gdal.pyogrio.list_drivers()]))"
    done = subprocess.run([sys.executable, "-c", look], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == gdal.ALLOWED_DRIVERS


def test_every_format_that_gdal_reads_has_its_driver() -> None:
    assert {known.driver for known in FORMATS if known.driver} <= gdal.ALLOWED_DRIVERS


def test_the_environment_of_other_libraries_is_left_alone() -> None:
    assert "GDAL_SKIP" not in os.environ
