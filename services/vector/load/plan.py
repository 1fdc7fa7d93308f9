"""The plan of a load: what preprocess decided, for the tasks that follow. It is stored as JSON in a work blob."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from repositories.target_table.statements import Table
from schema.jobs import Json
from services.vector.geometry import reasons, wkb
from services.vector.geometry.antimeridian import Wrap
from services.vector.geometry.crs import Area, Operation
from services.vector.geometry.earth import Limits
from services.vector.geometry.repair import LINES, POINTS, POLYGONS
from services.vector.load.stages import Options
from services.vector.origin import Origin
from services.vector.row_count import RowCount

SINGLE_NAMES = {POINTS: "Point", LINES: "LineString", POLYGONS: "Polygon"}


@dataclass(frozen=True)
class Column:
    """A column of the target, and the source column that fills it."""

    source: str
    name: str
    pg_type: str
    because: str = ""
    """The row and the value that made the type, where the reader chose it by the values."""


@dataclass(frozen=True)
class LoadPlan:
    """How the rows of one layer become the rows of one table."""

    options: Options
    source: str
    """container/blob."""
    layer: str
    rows: int
    columns: tuple[Column, ...]
    dimension: int
    """Dimension of the geometries that are loaded."""
    promote: bool
    """The table has the multi type, and single geometries become multi ones of one part."""
    guessed: bool
    """`promote` is a guess from a sample: the source has single polygons only, but a repair may make a multipolygon."""
    srid: int
    original_crs: str
    final_crs: str
    operation: Operation
    area: Area | None
    """Where coordinates are expected; those elsewhere are counted."""
    wrap: Wrap
    source_limits: Limits | None
    """What coordinates can be in the source's CRS, if that is geographic."""
    target_limits: Limits | None
    """The same of the target's CRS; None where the coordinates stay as they are."""
    guess: str
    """A sentence on the CRS that coordinates look like which are not on Earth; "" when there are none."""
    origin: Origin
    has_key: bool = False
    """The first column holds the reader's numbers of the rows."""
    empty_layers: tuple[str, ...] = ()
    """Layers of the source without features, which this first of its plans reports."""
    counts: tuple[RowCount, ...] = ()
    """How many rows the file itself says there are."""
    staging: str = ""
    """Suffix that tells this load's staging tables from those of the job's other layers."""
    reading: Json = field(default_factory=dict)
    """What the reader chose: encoding, delimiter, columns of coordinates."""
    reader_state: Json = field(default_factory=dict)
    """What the reader needs to read the rows of a chunk."""

    @property
    def target(self) -> Table:
        """The table that the job loads."""
        return self.options.target

    @property
    def rejects(self) -> Table:
        """The table of the rows that were not loaded."""
        return self.options.rejects

    @property
    def geometry_type(self) -> str:
        """The type of geom in the staging table, such as Polygon."""
        return type_name(self.dimension, multi=self.promote)

    @property
    def geometry_column_type(self) -> str:
        """The type of geom as PostgreSQL writes it, such as geometry(Polygon,4326)."""
        return f"geometry({self.geometry_type},{self.srid})"

    @property
    def splits_multi(self) -> bool:
        """Whether multi geometries that a repair may make have a staging table of their own."""
        return self.guessed and not self.promote

    @property
    def left_out(self) -> str:
        """The reason of rows that the user has chosen not to load; "" for none. They are not errors of the source."""
        return reasons.OTHER_TYPE if self.options.geometry_type else ""

    @property
    def left_out_code(self) -> int:
        """The same reason as a code, which no rejected row has where there is none."""
        return reasons.CODE_OF[self.left_out]

    @property
    def renamed(self) -> dict[str, str]:
        """The columns that have another name than in the source, by that name."""
        return {column.source: column.name for column in self.columns if column.source != column.name}

    def as_json(self) -> Json:
        """Return the plan as JSON."""
        return {**asdict(self), "operation": self.operation.as_json()}

    @classmethod
    def from_json(cls, data: Json) -> LoadPlan:
        """Read what as_json returned."""
        parts = {
            "options": Options.from_json(data["options"]),
            "origin": Origin.from_json(data["origin"]),
            "counts": tuple(RowCount(**count) for count in data["counts"]),
            "columns": tuple(Column(**column) for column in data["columns"]),
            "operation": Operation.from_json(data["operation"]),
            "empty_layers": tuple(data.get("empty_layers", ())),
            "source_limits": data["source_limits"] and Limits(**data["source_limits"]),
            "target_limits": data["target_limits"] and Limits(**data["target_limits"]),
            "area": data["area"] and Area(tuple(data["area"]["bounds"]), data["area"]["of_source"]),
        }
        return cls(**{**data, **parts})


def type_name(dimension: int, *, multi: bool) -> str:
    """Name a geometry type as PostGIS does in a column's type."""
    single = wkb.NAMES.index(SINGLE_NAMES[dimension])
    return wkb.NAMES[single + wkb.MULTI_OFFSET if multi else single]
