"""What GIS programs stretch colours by, counted while a raster is written instead of read again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 16  # values are summed as floats, eight bytes each


class Statistics:
    """Least, most, mean and standard deviation of one band's known pixels.

    >>> statistics = Statistics()
    >>> statistics.add(np.array([[1, 3, 9]]), np.array([[True, True, False]]))
    >>> statistics.tags()["STATISTICS_MEAN"]
    '2'
    """

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = 0.0
        self._least, self._most = np.inf, -np.inf

    def add(self, band: NDArray[Any], valid: NDArray[np.bool_] | None) -> None:
        """Count a window (row, col); what is not finite is not known."""
        for start in range(0, len(band), _ROWS):
            rows = slice(start, start + _ROWS)
            values = (band[rows].ravel() if valid is None else band[rows][valid[rows]]).astype(
                float
            )
            self._add(values[np.isfinite(values)] if band.dtype.kind == "f" else values)

    def _add(self, values: NDArray[np.float64]) -> None:
        self._count += len(values)
        self._sum += float(values.sum())
        self._squares += float(np.square(values).sum())
        self._least = min(self._least, values.min(initial=np.inf))
        self._most = max(self._most, values.max(initial=-np.inf))

    def tags(self) -> dict[str, str]:
        """As GDAL names them; none where nothing is known."""
        if not self._count:
            return {}
        mean = self._sum / self._count
        variance = max(self._squares / self._count - mean**2, 0)
        values = {"MINIMUM": self._least, "MAXIMUM": self._most, "MEAN": mean}
        values["STDDEV"] = variance**0.5
        return {f"STATISTICS_{name}": f"{value:.14g}" for name, value in values.items()}
