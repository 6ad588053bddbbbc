"""How far the lens in use reaches: said once, shown in the diagnostics, and the limit of what is published."""

import math
from functools import lru_cache

from dfd_depth_ros.estimation.blur import BlurTable, BlurTableError, read_table
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.planning import ambiguous_from, reach
from dfd_depth_ros.paths import PathError
from dfd_depth_ros.ros.parameters import ParameterError

LENSES = 256  # states of a lens whose reach is kept: a camera that sweeps its focus comes back to them
SHOWN_SHARE = 0.2  # of depth, for the reach that is told where no limit was asked for


class Reach:
    """The reach of each lens state. weights: file whose table of blur readings is used; without one nothing is known,
    and a limit that was asked for is refused with ParameterError."""

    def __init__(self, weights: str, share: float):
        self.missing = ''
        self._table: BlurTable | None = None
        try:
            self._table = read_table(weights)
        except (BlurTableError, PathError) as error:
            self.missing = str(error)
        self._found = lru_cache(LENSES)(lambda lens, share: reach(lens, self._table.error, share))
        self.check(share)

    def check(self, share: float) -> None:
        """Raise ParameterError where a limit is asked for that is not known."""
        if share and self._table is None:
            raise ParameterError(f'range.max_sigma_share is {share:g}, but {self.missing}')

    def of(self, lens: Lens, share: float) -> tuple[float, float]:
        """Nearest and farthest distance in metres with a relative sigma within `share` (0: SHOWN_SHARE); NaN where
        there is none or nothing is known."""
        if self._table is None:
            return math.nan, math.nan
        return self._found(lens, share or SHOWN_SHARE)

    def farthest(self, lens: Lens, share: float) -> float:
        """Distance in metres beyond which depth is +Inf: inf without a limit, 0 where the lens reaches nowhere."""
        if not share:
            return math.inf
        far = self.of(lens, share)[1]
        return 0.0 if math.isnan(far) else far

    def sentence(self, lens: Lens, share: float) -> str:
        """What the lens can see, in one line."""
        if self._table is None:
            return f'reach of the lens is unknown: {self.missing}'
        near, far = self.of(lens, share)
        where = 'nowhere' if math.isnan(far) else f'from {near:.2f} to {far:.2f} m'
        twins = ambiguous_from(lens)
        two = '' if math.isnan(twins) else f'; from {twins:.2f} m on blur alone leaves two answers'
        return f'lens {lens.quality}: expected sigma within {share or SHOWN_SHARE:.0%} of depth {where}{two}'
