"""Row accounting: what upload tasks counted is added up, and every row of the source is accounted for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

from schema.clipping import clip
from schema.errors import GeostageError, PermanentError
from schema.jobs import Json
from services.vector.row_count import RowCount

_COUNTERS = ("counts", "reasons", "source_types", "nulled")
FIRST = 5
"""Rejected rows that an error names."""


class RowsUnaccounted(GeostageError):
    """Rows were lost or doubled: a fault of Geostage, which must not be published."""

    code = "books_do_not_balance"


@dataclass(frozen=True)
class LoadTotals:
    """What was done with the rows of a batch, a chunk or a whole load."""

    rows: int = 0
    loaded: int = 0
    rejected: int = 0
    multi: int = 0
    """Loaded rows with a multi geometry, before single ones were made multi ones of one part."""
    bounds: tuple[float, float, float, float] | None = None
    """xmin, ymin, xmax, ymax of the loaded rows in the target CRS."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was done with how many rows: z_m_removed, repaired, ..."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Rejected rows by reason."""
    source_types: Counter[str] = field(default_factory=Counter)
    """Loaded rows by the type of their geometry in the source."""
    nulled: Counter[str] = field(default_factory=Counter)
    """Values that PostgreSQL cannot hold and that became NULL, by column."""
    first_rejected: tuple[tuple[int, str], ...] = ()
    """Row number and reason of the first rejected rows, at most FIRST."""

    def as_json(self) -> Json:
        """Return the totals as JSON."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            **plain,
            **{name: dict(plain[name]) for name in _COUNTERS},
            "bounds": list(self.bounds) if self.bounds else None,
            "first_rejected": [list(row) for row in self.first_rejected],
        }

    @classmethod
    def from_json(cls, data: Json) -> LoadTotals:
        """Read what as_json returned."""
        known = {one.name: data[one.name] for one in fields(cls)}
        known |= {name: Counter(data[name]) for name in _COUNTERS}
        known["bounds"] = tuple(data["bounds"]) if data["bounds"] else None
        known["first_rejected"] = tuple((number, reason) for number, reason in data["first_rejected"])
        return cls(**known)


def add_up(parts: Iterable[LoadTotals]) -> LoadTotals:
    """Return the totals of all parts: numbers and counters added, and the box around their bounds."""
    known = list(parts)
    edges = list(zip(*(part.bounds for part in known if part.bounds), strict=True))
    return LoadTotals(
        rows=sum(part.rows for part in known),
        loaded=sum(part.loaded for part in known),
        rejected=sum(part.rejected for part in known),
        multi=sum(part.multi for part in known),
        bounds=(min(edges[0]), min(edges[1]), max(edges[2]), max(edges[3])) if edges else None,
        counts=sum((part.counts for part in known), Counter()),
        reasons=sum((part.reasons for part in known), Counter()),
        source_types=sum((part.source_types for part in known), Counter()),
        nulled=sum((part.nulled for part in known), Counter()),
        first_rejected=tuple(sorted(row for part in known for row in part.first_rejected)[:FIRST]),
    )


def check_counts(layer: str, rows: int, counts: Sequence[RowCount]) -> None:
    """Check that a reader returned as many rows as the layer has by every certain count.

    Raises PermanentError (source_unreadable) with both numbers: the file is damaged, or holds what cannot be read.
    """
    # What the reader returned is all that the rest of the accounting knows of: rows that it passed over would be
    # missed nowhere else.
    for count in counts:
        if count.is_certain and count.rows != rows:
            only = "only " if rows < count.rows else ""
            first = f" ({count.first_lost})" if count.first_lost else ""
            raise PermanentError(
                f"By {count.by}, the layer {clip(layer)!r} has {count.rows} features, but {only}{rows} can be read"
                f"{first}.",
                remediation=count.remediation,
                code="source_unreadable",
            )


def check_accounted(rows_in: int, totals: LoadTotals) -> None:
    """Check that every row of the source was either loaded or rejected. Raises RowsUnaccounted."""
    # A chunk that was loaded twice, or never, shows here before anybody sees its rows.
    if rows_in != totals.loaded + totals.rejected or totals.rejected != totals.reasons.total():
        raise RowsUnaccounted(
            f"The source has {rows_in} rows, but {totals.loaded} were loaded and {totals.rejected} rejected.",
            remediation="Report this with the job's id; the table was left as it was.",
        )


def check_staged(staged: int, loaded: int) -> None:
    """Check that the staging table holds the rows that the tasks counted. Raises RowsUnaccounted."""
    # What tasks report and what is in the table commit together; this proves that they did.
    if staged != loaded:
        raise RowsUnaccounted(
            f"The upload tasks loaded {loaded} rows, but the staging table holds {staged}.",
            remediation="Report this with the job's id; the table was left as it was.",
        )


def check_on_earth(outside: int, rows: int, crs: str, guess: str, *, described: str = "") -> None:
    """Check that no more than half of the rows lie nowhere on Earth, in which case their CRS is another one.

    Parameters
    ----------
    crs
        The CRS that the layer is said to have.
    guess
        A sentence on the CRS that the coordinates look like; "" for none.
    described
        The rows as the message names them; by default their numbers.

    Raises
    ------
    PermanentError
        coordinates_not_on_earth
    """
    if 2 * outside <= rows:
        return
    whose = described or f"{outside} of {rows} rows"
    raise PermanentError(
        f"The coordinates of {whose} lie nowhere on Earth in {crs}, the CRS of the layer. {guess}".rstrip(),
        remediation='Name the CRS that the coordinates really have with "source_crs", such as "EPSG:25832", or correct '
        "the file.",
        code="coordinates_not_on_earth",
    )


def check_rejected(rows_in: int, totals: LoadTotals, max_rejected: int | str, *, left_out: str = "") -> None:
    """Check that no more rows were rejected than the job allows.

    Parameters
    ----------
    left_out
        The reason of rows that the user has chosen not to load: they do not count.

    Raises
    ------
    PermanentError
        too_many_rejected, with the reasons.
    """
    allowed = allowed_rejects(rows_in, max_rejected)
    rejected = totals.rejected - totals.reasons[left_out]
    if rejected <= allowed:
        return
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(totals.reasons.items()) if reason != left_out)
    first = ", ".join(f"row {number} ({reason})" for number, reason in totals.first_rejected)
    raise PermanentError(
        f"{rejected} of {rows_in} rows were rejected ({reasons}); {allowed} are allowed "
        f"(max_rejected {max_rejected}). The first: {first}. The table was left as it was.",
        remediation="Correct these rows in the file, or submit the job again with a higher max_rejected.",
        code="too_many_rejected",
    )


def allowed_rejects(rows_in: int, max_rejected: int | str) -> int:
    """Return how many rows may be rejected: an integer as it is, a percentage of all rows rounded down."""
    if isinstance(max_rejected, int):
        return max_rejected
    return int(rows_in * float(max_rejected.rstrip("%")) / 100)


def type_changes(source_types: dict[str, int], final: str) -> dict[str, int]:
    """Count the rows whose geometry has another type in the table than in the source, as "Polygon->MultiPolygon"."""
    return {f"{name}->{final}": number for name, number in sorted(source_types.items()) if name != final}
