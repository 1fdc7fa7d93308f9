"""Sample files of the demo, made from data that the packages bring along: `python -m local.samples FOLDER`."""

import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas
import pyogrio

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


MAKERS: dict[str, Callable[[Path], None]] = {
    "counties_usa.zip": counties,
    "countries.geojson": lambda target: countries(target, "GeoJSON"),
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
