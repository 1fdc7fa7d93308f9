"""Sample files of the demo, made from data that the packages bring along: `python -m local.samples FOLDER`."""

import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import rasterio
from matplotlib import cbook

from local.paths import NODE_MODULES

COUNTIES = NODE_MODULES / "us-atlas" / "counties-10m.json"
COUNTRIES = Path(pyogrio.__file__).parent / "tests" / "fixtures" / "naturalearth_lowres" / "naturalearth_lowres.shp"


def counties(target: Path) -> None:
    """Write the US counties as a zipped shapefile with GEOID and NAME, in WGS 84 (the TopoJSON states no CRS)."""
    frame = pyogrio.read_dataframe(COUNTIES, layer="counties")
    frame = frame[["id", "name", "geometry"]].rename(columns={"id": "GEOID", "name": "NAME"})
    with tempfile.TemporaryDirectory() as folder:
        shapefile = Path(folder) / f"{target.stem}.shp"
        frame.set_crs(4326, allow_override=True).to_file(shapefile, driver="ESRI Shapefile", encoding="UTF-8")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in sorted(Path(folder).iterdir()):
                archive.write(part, part.name)


def countries(target: Path, driver: str) -> None:
    """Write the world's countries of Natural Earth."""
    frame: geopandas.GeoDataFrame = pyogrio.read_dataframe(COUNTRIES)
    frame.to_file(target, driver=driver)


def elevation(target: Path) -> None:
    """Write the digital elevation model of the Jacksboro fault, metres in NAD83 degrees, as a GeoTIFF in strips."""
    with np.load(cbook.get_sample_data("jacksboro_fault_dem.npz", asfileobj=False)) as dem:
        metres, step_x, step_y = dem["elevation"], float(dem["dx"]), float(dem["dy"])
        # The file's ymin is the northern edge: its rows run from north to south.
        transform = rasterio.Affine(step_x, 0, float(dem["xmin"]), 0, -step_y, float(dem["ymin"]))
    height, width = metres.shape
    shape = {"height": height, "width": width, "count": 1, "dtype": metres.dtype}
    with rasterio.open(target, "w", "GTiff", crs="EPSG:4269", transform=transform, compress="lzw", **shape) as file:
        file.write(metres, 1)
        file.set_band_description(1, "elevation")
        file.update_tags(AREA_OR_POINT="Area")


MAKERS: dict[str, Callable[[Path], None]] = {
    "counties_usa.zip": counties,
    "countries.geojson": lambda target: countries(target, "GeoJSON"),
    "jacksboro_dem.tif": elevation,
    "countries.gpkg": lambda target: countries(target, "GPKG"),
}


def main() -> None:
    """Make the files that are not there yet."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        if (folder / name).exists():
            continue
        # Elsewhere first: an interrupted run leaves no half a file.
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            make(Path(draft) / name)
            (Path(draft) / name).rename(folder / name)


if __name__ == "__main__":
    main()
