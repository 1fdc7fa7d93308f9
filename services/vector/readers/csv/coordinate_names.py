"""Names of columns that hold coordinates, in the languages of Europe and as programs write them. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

Names = tuple[str, ...]

_DEGREES: tuple[tuple[Names, Names], ...] = (
    (("latitude", "lat"), ("longitude", "lon", "lng", "long")),
    (("breite", "breitengrad"), ("lange", "laenge", "langengrad", "laengengrad")),
    (("latitud",), ("longitud",)),
    (("latitudine",), ("longitudine",)),
    (("szerokosc", "szer"), ("dlugosc", "dlug")),
    (("breedtegraad", "breedte"), ("lengtegraad", "lengte")),
    (("breddegrad", "breddgrad", "bredde", "bredd"), ("laengdegrad", "langdegrad", "langdgrad", "laengde", "langd")),
    (("breddegrad", "bredde"), ("lengdegrad", "lengde")),
    (("leveysaste", "leveyspiiri", "leveys"), ("pituusaste", "pituuspiiri", "pituus")),
    (("sirka",), ("delka", "dlzka")),
    (("sirina",), ("duzina", "dolzina")),
    (("szelesseg",), ("hosszusag",)),
    (("platums",), ("garums",)),
    (("platuma",), ("ilguma",)),
    (("laiuskraad", "laius"), ("pikkuskraad", "pikkus")),
    (("latitudni",), ("longitudni", "longitudini")),
    (("domhanleithead",), ("domhanfhad",)),
    (("πλατοσ",), ("μηκοσ",)),
    (("ширина",), ("дължина", "долгота")),
    (("широта",), ("долгота", "довгота")),
    (("enlem",), ("boylam",)),
)
_PLANE: tuple[tuple[Names, Names], ...] = (
    (("northing", "northings"), ("easting", "eastings")),
    (("hochwert", "hoch", "nordwert"), ("rechtswert", "rechts", "ostwert")),
    (("y",), ("x",)),
    (("nord", "north", "norte", "noord", "polnoc"), ("ost", "est", "east", "este", "oost", "wschod")),
    (("n",), ("e",)),
)
"""y (latitude, northing) and x (longitude, easting) by language, as plain_name writes them."""

_AFFIXES = (
    "coordinates", "coordinate", "coordinata", "coordinaat", "coordenada", "coordonnee", "koordinate", "koordinat",
    "koordynata", "wspolrzedna", "souradnice", "suradnica", "koord", "coord", "geographische", "geografische",
    "geographic", "geograficzna", "geografiska", "geografisk", "zemepisna", "geografska", "zemljepisna", "foldrajzi",
    "geografiskais", "geografine", "geografica", "географска", "географическая", "географічна", "γεωγραφικο", "decimal",
    "degrees", "degree", "centroid", "intpt", "point", "punkt", "gps", "geo", "wgs84", "wgs", "etrs89", "lambert93",
    "lambert", "l93", "utm", "rd", "gk", "dd", "deg", "epsg",
)  # fmt: skip
"""What stands before or behind the name of an axis: coord_x, X_UTM, decimalLatitude, Geogr. Länge, POINT_X."""
_ANY_AFFIX = "|".join(sorted((*_AFFIXES, "geogr", "geograph"), key=len, reverse=True))
_AFFIX = re.compile(rf"^(?:{_ANY_AFFIX})(?=.)|(?<=.)(?:{_ANY_AFFIX}|[0-9]{{2,6}})$")

SHAPE = (
    *("wkt", "geom", "geometry", "thegeom", "wkb", "wkbgeometry", "geomwkt", "shape", "ewkt", "ewkb"),
    *("geoshape", "geojson", "geomgeojson", "stasgeojson", "stastext", "geometrie", "geometria"),
)
PAIR = (
    *("latlon", "latlong", "latlng", "coordinates", "coords", "location", "position", "geo", "geopoint"),
    *("geopoint2d", "geolocation", "gps", "koordinaten", "coordonnees", "coordenadas", "coordinate", "wspolrzedne"),
)

# Letters that are no others with a mark.
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "ı": "i"})


def plain_name(name: str) -> str:
    """Return a name in lower case, without accents, blanks and signs: "geographlange" for "Geograph. Länge"."""
    letters = unicodedata.normalize("NFKD", name.casefold()).translate(_LETTERS)
    return "".join(char for char in letters if char.isalnum())


def find_pair(names: Sequence[str], *, plane_first: bool) -> tuple[int, int] | None:
    """Return the columns of y and x, by their positions; None when no two of the names belong together.

    Parameters
    ----------
    names
        As plain_name returns them.
    plane_first
        The coordinates are said to be in a projected CRS, so that easting and northing are meant where a table has
        longitude and latitude beside them.
    """
    # Exact names come before coord_x or lat_wgs84; both columns have the same additions.
    places: dict[str, dict[str, int]] = {"": {}}
    for place, name in enumerate(names):
        places[""].setdefault(name, place)
        axis, addition = _without_affixes(name)
        if addition:
            places.setdefault(addition, {}).setdefault(axis, place)
    groups = (*_PLANE, *_DEGREES) if plane_first else (*_DEGREES, *_PLANE)
    return next((found for known in places.values() for found in _pairs(known, groups)), None)


def _pairs(known: dict[str, int], groups: Sequence[tuple[Names, Names]]) -> Iterator[tuple[int, int]]:
    for ys, xs in groups:
        y, x = (next((known[name] for name in axis if name in known), None) for axis in (ys, xs))
        if y is not None and x is not None:
            yield y, x


def _without_affixes(name: str) -> tuple[str, str]:
    """Return the axis that a name is about, and what was added to it."""
    axis, additions = name, []
    while match := _AFFIX.search(axis):
        additions.append(match[0])
        axis = axis[: match.start()] + axis[match.end() :]
    return axis, "_".join(sorted(additions))
