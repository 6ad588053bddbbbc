"""The Middlebury motorcycle that scikit-image ships: a real photograph with measured disparity.

Source: Scharstein et al., "High-Resolution Stereo Datasets with Subpixel-Accurate Ground Truth", GCPR 2014; the
calibration is that of the quarter-size images (f = 994.978 px, baseline 193.001 mm, doffs 31.086 px).
"""

import numpy as np

from dfd_depth_ros.scenes.frame import Frame, Intrinsics
from dfd_depth_ros.scenes.rgbd import filled

FOCAL_PX, BASELINE_M, DOFFS_PX = 994.978, 0.193001, 31.086
CENTRE_PX = (311.193, 254.877)


def load_motorcycle() -> Frame:
    """RGB-D frame of 741 x 500 pixels, 2.2 to 4.8 m deep. Pixels without disparity have the depth of the nearest
    measured one, because a lens blurs them too: a scene needs depth everywhere."""
    from skimage.data import stereo_motorcycle

    left, _, disparity = stereo_motorcycle()
    disparity = np.where(np.isfinite(disparity), disparity, np.nan)
    depth = (BASELINE_M * FOCAL_PX / (disparity + DOFFS_PX)).astype(np.float32)
    intrinsics = Intrinsics(FOCAL_PX, FOCAL_PX, *CENTRE_PX)
    return Frame('motorcycle', aif=np.ascontiguousarray(left), depth=filled(depth), intrinsics=intrinsics)
