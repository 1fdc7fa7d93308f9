"""Boxes in longitude and latitude: west, south, east, north in degrees; west > east across the antimeridian. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Bbox = Sequence[float]
"""Four numbers, or six with heights, which are not looked at."""
Arc = tuple[float, float]
"""West and east."""
TURN = 360.0
# Degrees: remainders of 360 are off by rounding.
_CLOSE = 1e-9


def union(one: Bbox, other: Bbox) -> list[float]:
    """Return the smallest box around two; each may cross the antimeridian, and so may the result."""
    return enclose([one, other])


def enclose(boxes: Iterable[Bbox]) -> list[float]:
    """Return the smallest box around one or more boxes; the result does not depend on their order."""
    known = [flat(box) for box in boxes]
    # What is left when the widest gap between the arcs of longitude is left out.
    ordered = sorted(((box[0], box[2]) for box in known), key=lambda arc: (arc[0] % TURN, arc))
    ends = [(west % TURN + width((west, east)), east) for west, east in ordered]
    # An arc that runs on past a full turn covers the beginning too.
    furthest = max(ends)
    reached = furthest[0] - TURN, furthest[1]
    gaps = []
    for (west, _), end in zip(ordered, ends, strict=True):
        gaps.append((west % TURN - reached[0], west, reached[1]))
        reached = max(reached, end)
    # Of two gaps that are equally wide, prefer the one that leaves a box with west <= east.
    gap, west, east = max(gaps, key=lambda found: (round(found[0], 9), found[1] <= found[2]))
    if gap <= _CLOSE:
        west, east = -TURN / 2, TURN / 2
    return [west, min(box[1] for box in known), east, max(box[3] for box in known)]


def flat(box: Bbox) -> tuple[float, float, float, float]:
    """Return a box of 4 or 6 numbers without its heights."""
    return (*box[:2], *box[len(box) // 2 :][:2])  # type: ignore[return-value]


def width(arc: Arc) -> float:
    """Return the degrees from west to east, 0 to 360."""
    # 0 and 360 are a meridian and the whole globe: the remainder would make one of the other.
    across = arc[1] - arc[0]
    return across % TURN if across not in (TURN, 0.0) else across


def covers(outer: Arc, inner: Arc) -> bool:
    """Whether an arc covers another."""
    into = (inner[0] - outer[0] + _CLOSE) % TURN - _CLOSE
    return width(outer) >= TURN or into + width(inner) <= width(outer) + _CLOSE
