"""Extents of STAC collections: they grow with each item, and are measured again where items go or shrink. Pure.

Only the first box and the first interval are computed. Whoever wants to say more than the items do writes further ones,
which stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from repositories.catalog.catalog import Extents, Reach
from schema.jobs import Json
from services.stac.boxes import TURN, covers, enclose, flat, union, width

WORLD = [-180.0, -90.0, 180.0, 90.0]
UNKNOWN = "geostage:unknown"
"""Marks an extent that is the world because no item has a known place; STAC requires a box."""
_SLACK = 1e-6
"""Degrees by which two edges may differ and still be the same."""


def grown(extent: Json, item: Json) -> Json:
    """Return an extent that covers an item too."""
    spatial, intervals = dict(extent["spatial"]), extent["temporal"]["interval"]
    if item.get("bbox"):
        boxes = [] if spatial.pop(UNKNOWN, False) else spatial["bbox"]
        spatial["bbox"] = [union(boxes[0], item["bbox"]) if boxes else list(item["bbox"]), *boxes[1:]]
    known = [*(intervals[0] if intervals else []), item["properties"]["datetime"]]
    first_interval = _span(datetime.fromisoformat(text) for text in known if text)
    return {
        "spatial": spatial,
        "temporal": {**extent["temporal"], "interval": [first_interval, *intervals[1:]]},
    }


def measured(extent: Json, reaches: Iterable[Reach]) -> Json:
    """Return the smallest extent around all items of a collection.

    If no item has a known place the box is the world, and marked so; without items the interval is open at both ends,
    which STAC allows.
    """
    found = list(reaches)
    boxes = [reach.box for reach in found if reach.box]
    spatial = {key: value for key, value in extent["spatial"].items() if key != UNKNOWN}
    spatial["bbox"] = [enclose(boxes) if boxes else WORLD, *spatial["bbox"][1:]]
    if not boxes:
        spatial[UNKNOWN] = True
    interval = _span(at for reach in found for at in (reach.first, reach.last) if at)
    return {
        "spatial": spatial,
        "temporal": {**extent["temporal"], "interval": [interval, *extent["temporal"]["interval"][1:]]},
    }


def is_loose(extent: Json, before: Reach, after: Reach | None) -> bool:
    """Whether an extent may be too large once an item lies elsewhere than before; `after` is None if it is gone."""
    now = after or Reach(None, None, None)
    interval = (extent["temporal"]["interval"] or [[None, None]])[0]
    first, last = (datetime.fromisoformat(text) if text else None for text in interval)
    if first and before.first and before.first <= first and not (now.first and now.first <= before.first):
        return True
    if last and before.last and before.last >= last and not (now.last and now.last >= before.last):
        return True
    return _leaves_place(extent["spatial"], before, now)


def _leaves_place(spatial: Json, before: Reach, after: Reach) -> bool:
    if not before.box or not spatial["bbox"] or UNKNOWN in spatial:
        return False
    if not after.box:
        return True
    west, south, east, north = flat(spatial["bbox"][0])
    was, now = before.box, after.box
    if (was[1] <= south + _SLACK and now[1] > was[1]) or (was[3] >= north - _SLACK and now[3] < was[3]):
        return True
    if covers((now[0], now[2]), (was[0], was[2])):
        return False
    # In a box of more than half the world, a place that becomes free anywhere may be the widest gap.
    return width((west, east)) > TURN / 2 or _same(was[0], west) or _same(was[2], east)


def _same(one: float, other: float) -> bool:
    return abs((one - other + TURN / 2) % TURN - TURN / 2) <= _SLACK


def _span(datetimes: Iterable[datetime]) -> list[str | None]:
    known = list(datetimes)
    return [_text(min(known)), _text(max(known))] if known else [None, None]


def _text(at: datetime) -> Any:
    return at.isoformat().replace("+00:00", "Z")


EXTENTS = Extents(grown, is_loose, measured)
