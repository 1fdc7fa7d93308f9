"""GDAL's own command line tools, as the second opinion on what Geostage wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

needs_gdal = pytest.mark.skipif(shutil.which("gdalwarp") is None, reason="GDAL's command line tools are not installed")


def info(path: Path) -> dict[str, Any]:
    """What gdalinfo says."""
    done = subprocess.run(["gdalinfo", "-json", "-checksum", path], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def warp(source: Path, target: Path, *options: str) -> Path:
    """What gdalwarp makes of a file."""
    command = ["gdalwarp", "-q", "-overwrite", *options, str(source), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def pixels(path: Path) -> npt.NDArray[Any]:
    """Bands, rows, columns."""
    with rasterio.open(path) as dataset:
        block: npt.NDArray[Any] = dataset.read()
        return block


def mask(path: Path) -> npt.NDArray[np.bool_]:
    """Which pixels are valid."""
    with rasterio.open(path) as dataset:
        valid: npt.NDArray[np.bool_] = dataset.dataset_mask() > 0
        return valid
