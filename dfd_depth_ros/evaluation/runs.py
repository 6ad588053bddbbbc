"""One evaluation from path to files: find the frames, score them, write JSON and report."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

from dfd_depth_ros.evaluation.report import write_report
from dfd_depth_ros.evaluation.scoring import Evaluation, evaluate
from dfd_depth_ros.evaluation.timing import recorded_timing
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.bags import BagFrames, read_bag
from dfd_depth_ros.scenes.folders import INDEX, FramesFolder, read_frames
from dfd_depth_ros.scenes.frame import Frame


def open_frames(path, lens: Lens | None = None, topics: Mapping[str, str] | None = None) -> FramesFolder | BagFrames:
    """The frames of a frames folder, a .jsonl, a rosbag2 folder, an .mcap or a .db3. Raises FramesError or BagError."""
    path = Path(path)
    if path.suffix == '.jsonl' or (path / INDEX).is_file():
        return read_frames(path)
    return read_bag(path, lens, topics)


def run(
    frames: FramesFolder | BagFrames,
    estimator,
    lens: Lens | None = None,
    side: str | None = None,
    limit: int | None = None,
    progress: Callable[[Iterable[Frame], int], Iterable[Frame]] = lambda frames, total: frames,
) -> Evaluation:
    """Score the first `limit` frames of a source, all by default.

    lens: of every frame of a folder; a bag has got it when it was opened. progress: wraps the frames, given their
    total. Adds what a bag tells about itself: `truncated` and `notes` (sentences) and `recorded` (timing of the depth
    that it holds).
    """
    total = len(frames) if limit is None else min(limit, len(frames))
    given = None if isinstance(frames, BagFrames) else lens
    evaluation = evaluate(progress(islice(frames, total), total), estimator, given, side)
    if isinstance(frames, BagFrames):
        evaluation.numbers |= {
            'truncated': list(frames.truncated),
            'notes': [*evaluation.numbers['notes'], *frames.notes],
        }
        if 'depth' in frames.times:
            evaluation.numbers['recorded'] = recorded_timing(frames.times['image'], frames.times['depth'])
    return evaluation


def write(evaluation: Evaluation, command: str, json_path=None, report_folder=None) -> Path | None:
    """Write what was asked for: the numbers as strict JSON (NaN becomes null), the report as index.html in a folder.
    Returns the path of the report."""
    if json_path:
        write_json(json_path, evaluation.numbers)
    return write_report(Path(report_folder), evaluation, command) if report_folder else None


def write_json(path, numbers: dict) -> None:
    """Write strict JSON into a file, whose folder is made where needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(strict(numbers), indent=2, allow_nan=False) + '\n')


def strict(value):
    """The same with None for every number that JSON does not know."""
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
