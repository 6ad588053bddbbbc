"""`calibrate_lens`: measure what a lens really does, from frames with depth or from a focus sweep without."""

import argparse
import itertools
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from dfd_depth_ros.estimation import flat_target, lens_fit, lens_readings
from dfd_depth_ros.estimation.blur import read_table
from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.estimation.lens_readings import CalibrationDataError
from dfd_depth_ros.estimation.lens_sweep import fit_sweep
from dfd_depth_ros.evaluation import lens_check, lens_report
from dfd_depth_ros.evaluation.runs import open_frames, strict
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.lens_files import read_lens, write_lens

WEIGHTS = 'models/dfd_small.safetensors'
MODES = ('auto', 'target', 'depth', 'sweep')
KEPT = (
    'the lens is kept as told: with the one that half of the frames fit, depth of the other half is worse (AbsRel '
    '{told:.3f} to {fitted:.3f} +- {doubt:.3f})'
)
MOST_PICTURES = 40  # of a target, that are compared


def main(argv=None) -> int:
    """Exit code 0 when a lens file was written, 2 for input that calibrates nothing (one sentence says why)."""
    options = _parser().parse_args(argv)
    command = shlex.join(['calibrate_lens', *(sys.argv[1:] if argv is None else argv)])
    try:
        numbers, lens, points = _calibrate(options)
        _write(options.out, lens, numbers, command)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(strict(numbers), indent=2) + '\n')
        page = lens_report.write(options.report, numbers, command, points) if options.report else None
    except (ValueError, OSError) as error:
        print(f'calibrate_lens: {error}', file=sys.stderr)
        return 2
    for name, value in numbers.items():
        if isinstance(value, (int, float, str)):
            print(f'{name:<24} {lens_report.shown(value)}')
    for note in numbers['notes']:
        print(f'note: {note}')
    print(f'lens: {options.out}' + (f'\nreport: {page}' if page else ''))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='calibrate_lens', description=__doc__.split(': ', 1)[1])
    add = parser.add_argument
    add('input', help='frames folder, .jsonl, rosbag2 folder, .mcap or .db3')
    add('--weights', default=WEIGHTS, help='safetensors file with its .blur.json (default %(default)s)')
    add('--out', type=Path, required=True, metavar='FILE', help='lens file to write')
    add('--report', type=Path, metavar='FOLDER', help='write a page with a plot here')
    add('--json', type=Path, metavar='FILE', help='write the numbers here')
    add('--lens', metavar='FILE', help='the lens as told, where the frames do not say it')
    add(
        '--mode',
        choices=MODES,
        default='auto',
        help='target: pictures of one flat target at known distances are compared; depth: the networks read the blur; '
        'sweep: no depth; auto: the first of them that the frames allow',
    )
    add('--device', default='auto', help='auto, cpu or cuda (default %(default)s)')
    return parser


def _calibrate(options) -> tuple[dict, Lens, dict | None]:
    lens = read_lens(options.lens) if options.lens else None
    estimator, table = load_estimator(options.weights, options.device), read_table(options.weights)
    frames = open_frames(options.input, lens)

    def as_told():
        return (frame if lens is None else replace(frame, lens=lens) for frame in frames)

    told = as_told()
    first = next(told, None)
    if first is None:
        raise CalibrationDataError('there is no frame')
    if first.lens is None:
        raise CalibrationDataError(f'{first.name} has no lens; give the lens as told with --lens FILE')
    rest = tqdm(told, total=len(frames) - 1, unit='frame', desc='calibrate_lens', disable=None)
    about = {'weights_digest': estimator.digest, 'device': estimator.device}
    if options.mode in ('target', 'depth') or (options.mode == 'auto' and first.depth is not None):
        return _with_depth(itertools.chain([first], rest), as_told, options.mode, estimator, table, about)
    return _from_sweep([first, *rest], estimator.model, table, about)


def _with_depth(frames, again, mode, estimator, table, about):
    shown: list[Frame] = []  # pictures of a target, as long as they can be that
    readings, left_out = lens_readings.gather(_kept(frames, shown, mode), estimator.model)
    notes = lens_readings.check(readings, table)
    found, mode, why = _of_target(shown, lens_fit.fit(readings, table), mode)
    checked = lens_check.check(again(), readings, table, estimator) if mode == 'depth' else None
    if checked:
        about |= {f'abs_rel_{name}': value for name, value in vars(checked).items()}
        if checked.is_worse:
            found = replace(found, values=lens_fit.NOTHING | {'base_px': found.values['base_px']})
            why = [*why, KEPT.format(**vars(checked))]
    lens = lens_fit.calibrated(shown[0].lens, found)
    if notes and lens.quality == 'CALIBRATED':
        lens = replace(lens, quality='APPROXIMATE')
    numbers = {
        'mode': mode,
        'frames': int(readings.frame.max()) + 1,
        'readings': len(readings.frame),
        'quality': lens.quality,
        **found.values,
        **{f'{name}_sigma': sigma for name, sigma in found.sigmas.items()},
        **_lens_numbers(lens),
        'error_px_before': lens_fit.error_px(lens_fit.NOTHING, readings, table),
        'error_px_after': lens_fit.error_px(found.values, readings, table),
        **about,
        'notes': [*notes, *left_out, *why],
    }
    points = {
        'inverse': readings.inverse,
        'read': readings.magnitude,
        'told': lens_fit.expected(lens_fit.NOTHING, readings, table)[0],
        'fitted': lens_fit.expected(found.values, readings, table)[0],
    }
    return numbers, lens, points


def _kept(frames, shown: list[Frame], mode: str):
    """The frames, one after the other; the first one is kept, and the others as long as a target may be compared."""
    for number, frame in enumerate(frames):
        if number == 0 or (mode != 'depth' and number < MOST_PICTURES):
            shown.append(frame)
        yield frame


def _of_target(frames, found: lens_fit.LensFit, mode: str) -> tuple[lens_fit.LensFit, str, list[str]]:
    """What comparing pictures of a target tells, where these are such: the fit, how it was found, and sentences."""
    if mode == 'depth':
        return found, mode, []
    try:
        return flat_target.fit(frames, found), 'target', []
    except flat_target.NoTargetError as reason:
        if mode == 'target':
            raise
        return found, 'depth', [f'the networks read the blur, since pictures could not be compared: {reason}']


def _from_sweep(frames, model, table, about):
    found = fit_sweep(frames, model, table)
    told = frames[0].lens
    lens, gain = lens_fit.corrected_gain(told, found.log_gain, found.sigma)
    numbers = {
        'mode': 'sweep',
        'frames': len(frames),
        'quality': lens.quality,
        'log_gain': found.log_gain,
        'log_gain_sigma': gain,
        'base_px': found.base_px,
        **_lens_numbers(lens),
        'error_px_before': found.before,
        'error_px_after': found.after,
        'breathing_over_thin_lens': found.breathing,
        **about,
        'notes': [
            'a sweep without depth tells gain times focus scale and no offset of the focus: the focus stays as told, '
            'and the lens is APPROXIMATE at best; frames with a few measured distances tell the rest'
        ],
    }
    return numbers, lens, None


def _lens_numbers(lens: Lens) -> dict:
    names = ('f_number', 'focus_dioptre', 'focus_dioptre_sigma', 'gain_sigma', 'gain')
    return {name: float(getattr(lens, name)) for name in names}


def _write(path: Path, lens: Lens, numbers: dict, command: str) -> None:
    comments = {
        'f_number': f'Effective: the gain was found to be {numbers["f_number"]:.4g} worth of f-number, '
        f'+- {lens.gain_sigma:.1%} (1 sigma).',
        'focus_dioptre': f'+- {lens.focus_dioptre_sigma:.3g} dioptres (1 sigma).',
        'quality': 'CALIBRATED, APPROXIMATE or UNCALIBRATED; the sigmas above widen the sigma of depth.',
    }
    before, after = (numbers[f'error_px_{when}'] for when in ('before', 'after'))
    found = f'Readings err by {before:.3g} px as told, {after:.3g} px as fitted.'
    base = f'Blur at perfect focus: {numbers["base_px"]:.2g} px of CoC.'
    values = {name: value if isinstance(value, str) else float(value) for name, value in lens.to_dict().items()}
    values['quality'] = lens.quality
    write_lens(path, values, comments, f'Made by: {command}\n{found} {base}')


if __name__ == '__main__':
    raise SystemExit(main())
