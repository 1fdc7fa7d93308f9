"""GDAL has the drivers that are named, and no other that could be led to further files or URLs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from services.vector import gdal
from services.vector.formats import FORMATS
from tests.unit.conventions.source import PROJECT


@pytest.mark.parametrize(
    "first", ["services.handlers.vector", "services.vector.gdal", "geopandas, services.vector.readers.gdal_layer"]
)
def test_no_other_driver_is_loaded_whatever_is_imported_first(first: str) -> None:
    # In a fresh process, as a worker's child is: the first import of GDAL decides.
    program = f"import {first}, sys; print(*sys.modules['pyogrio'].list_drivers(), sep=',')"
    found = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert set(found.stdout.strip().split(",")) == gdal.ALLOWED_DRIVERS


def test_every_format_that_gdal_reads_has_its_driver() -> None:
    assert {known.driver for known in FORMATS if known.driver} <= gdal.ALLOWED_DRIVERS
