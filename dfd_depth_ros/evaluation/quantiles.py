"""Quantiles over any number of pixels in constant memory: histograms on a logarithmic scale, in one bin for each range
of a second quantity (depth, blur)."""

import numpy as np

PER_DECADE = 500  # bins of 0.46 %: quantiles are exact to a quarter of that
LOWEST, HIGHEST = 1e-5, 1e3


class Quantiles:
    """Distribution of positive values y in ranges of x.

    edges: (B + 1,) rising limits of x; values outside are ignored. Without edges there is one range for everything.
    """

    def __init__(self, edges=(-np.inf, np.inf)):
        self.edges = np.asarray(edges, np.float64)
        self._limits = np.geomspace(LOWEST, HIGHEST, int(np.log10(HIGHEST / LOWEST)) * PER_DECADE + 1)
        self._counts = np.zeros((len(self.edges) - 1, len(self._limits) + 1), np.int64)

    def add(self, y: np.ndarray, x: np.ndarray | float = 0.0) -> None:
        """Count values y (N,) with their x (N,); those that are not finite are ignored."""
        y, x = np.broadcast_arrays(y, x)
        finite = np.isfinite(y) & (x >= self.edges[0]) & (x < self.edges[-1])
        y, x = y[finite].astype(np.float64), x[finite]
        column = np.floor(np.log10(np.maximum(y, LOWEST / 2) / LOWEST) * PER_DECADE).astype(np.int64) + 1
        row = np.searchsorted(self.edges, x, side='right') - 1
        columns = self._counts.shape[1]
        flat = row * columns + np.clip(column, 0, columns - 1)
        self._counts += np.bincount(flat, minlength=self._counts.size).reshape(self._counts.shape)

    @property
    def counts(self) -> np.ndarray:
        """(B,) number of values in each range."""
        return self._counts.sum(1)

    def at(self, share: float) -> np.ndarray:
        """(B,) value below which this share lies, NaN for an empty range."""
        cumulative = self._counts.cumsum(1)
        wanted = np.maximum(share * cumulative[:, -1:], 0.5)
        column = (cumulative < wanted).sum(1)
        inside = np.sqrt(self._limits[:-1] * self._limits[1:])
        values = np.concatenate([[0.0], inside, [HIGHEST]])
        return np.where(self.counts > 0, values[np.minimum(column, len(values) - 1)], np.nan)

    def below(self, value: float) -> np.ndarray:
        """(B,) share of the values in each range that lie below this one, NaN for an empty range."""
        column = np.searchsorted(self._limits, value, side='right')
        part = self._counts[:, :column].sum(1)
        return np.where(self.counts > 0, part / np.maximum(self.counts, 1), np.nan)
