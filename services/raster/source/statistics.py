"""Statistics of bands, added up block by block: exact, in one pass, in the memory of one block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from schema.jobs import Json
from services.raster.source.facts import plain_number

Pixels: TypeAlias = npt.NDArray[Any]
"""Shape (bands, rows, columns), or (rows, columns) of one band."""
Validity: TypeAlias = npt.NDArray[np.bool_]
"""True where a value is valid: shape (rows, columns) for all bands alike, or that of the pixels."""
MOST_CLASSES = 24
"""Different values that a band of classes may have; those with more are recognized by a palette or a name only."""
SAMPLE = 4096
"""Pixels of a block."""
TABLE = 65_536
"""Classes farther apart than this are not looked for."""


@dataclass
class BandStatistics:
    """Of one band. Minimum and maximum are None as long as no value is valid, and for complex numbers."""

    total: int = 0
    valid: int = 0
    minimum: float | int | None = None
    maximum: float | int | None = None
    sum: float = 0.0
    nans: int = 0
    """Number of NaNs that count as valid: in floating-point bands whose nodata is not NaN."""
    whole: bool = True
    """Whether every valid value is an integer."""
    distinct: set[int] | None = field(default_factory=set)
    """The different valid values of a band of integers; None for more than MOST_CLASSES, and for other bands."""

    def add(self, values: Pixels, valid: Validity | None) -> None:
        """Add a block of one band, shape (rows, columns). `valid` has its shape; None means every pixel."""
        self.total += values.size
        kept = values if valid is None else values[valid]
        # The sum of a block is NaN if any value is, and costs far less than a mask of its NaNs.
        if kept.dtype.kind == "f" and not np.isfinite(kept.sum(dtype=np.float64)):
            missing = np.isnan(kept)
            self.nans += int(missing.sum())
            kept = kept[~missing]
        if not kept.size:
            return
        self.valid += kept.size
        # Complex numbers have no order.
        if kept.dtype.kind == "c":
            return
        low, high = kept.min().item(), kept.max().item()
        self.minimum = low if self.minimum is None else min(self.minimum, low)
        self.maximum = high if self.maximum is None else max(self.maximum, high)
        # Integers are added as integers: a float64 would round sums beyond 2^53.
        self.sum += float(kept.sum(dtype=np.float64 if kept.dtype.kind == "f" else None))
        if kept.dtype.kind in "iu" and self.distinct is not None:
            self._note_distinct(kept.ravel(), low, high)
        else:
            self.distinct = None
        if self.whole and kept.dtype.kind == "f":
            self.whole = bool(np.isfinite(low) and np.isfinite(high) and (np.rint(kept) == kept).all())

    def _note_distinct(self, values: Pixels, low: int, high: int) -> None:
        # Sorting a block for its different values takes longer than reading it. A small part of most blocks shows that
        # they have too many; of the others a table of all between minimum and maximum tells which there are.
        found = set(np.unique(values[:SAMPLE]).tolist()) | (self.distinct or set())
        if len(found) <= MOST_CLASSES and high - low <= TABLE:
            present = np.zeros(high - low + 1, np.bool_)
            present[values.astype(np.int64) - low] = True
            found |= set((np.flatnonzero(present) + low).tolist())
        self.distinct = found if len(found) <= MOST_CLASSES and high - low <= TABLE else None

    def as_json(self) -> Json:
        """Return the statistics as results show them."""
        return {
            "valid_pixels": self.valid,
            "minimum": plain_number(self.minimum),
            "maximum": plain_number(self.maximum),
            "mean": plain_number(self.mean),
        }

    @property
    def mean(self) -> float | None:
        """Mean of the valid values."""
        return self.sum / self.valid if self.valid and self.minimum is not None else None


@dataclass
class RasterStatistics:
    """Statistics of all bands of a raster."""

    bands: list[BandStatistics]
    covered: int = 0
    """Pixels that are valid in at least one band."""

    @classmethod
    def empty(cls, count: int) -> RasterStatistics:
        """Return the statistics of `count` bands before any block."""
        return cls([BandStatistics() for _ in range(count)])

    def add(self, block: Pixels, validity: Validity | None) -> None:
        """Add a block.

        Parameters
        ----------
        block
            Shape (bands, rows, columns).
        validity
            Shape of the block, or (rows, columns) for all bands alike; None when every value is valid.
        """
        for index, band in enumerate(self.bands):
            valid = None if validity is None else validity if validity.ndim == 2 else validity[index]
            band.add(block[index], valid)
        if validity is None:
            self.covered += block[0].size
        else:
            self.covered += int((validity if validity.ndim == 2 else validity.any(axis=0)).sum())


def validity_of(block: Pixels, nodata: float | None, mask: Validity | None) -> Validity | None:
    """Return which values of a block are valid: nodata counts in each band alone, a mask in all bands.

    Parameters
    ----------
    block
        Shape (bands, rows, columns).
    nodata
        Must be a value of the block's data type, or NaN.
    mask
        Shape (rows, columns); None without one.

    Returns
    -------
    Shape of the block, or (rows, columns) when only the mask counts; None when every value is valid.
    """
    valid = None
    if nodata is not None:
        # In the block's own type: comparing with a float64 would convert every block of pixels first.
        valid = ~np.isnan(block) if np.isnan(nodata) else block != block.dtype.type(nodata)
    if mask is None:
        return valid
    return mask if valid is None else valid & mask
