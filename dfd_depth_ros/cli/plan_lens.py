"""`plan_lens`: what a lens can see before it is bought or mounted: error over distance, reach, and where to focus."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from dfd_depth_ros.benchmarks.limit import floor_px
from dfd_depth_ros.estimation.blur import read_table
from dfd_depth_ros.evaluation.runs import strict
from dfd_depth_ros.optics import planning
from dfd_depth_ros.optics.lens import SIDES, Lens, LensError
from dfd_depth_ros.scenes.lens_files import read_lens_values

WEIGHTS = 'models/dfd_small.safetensors'
DISTANCES_M = (0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
SHARE = 0.2
GIVEN = ('focal_length_m', 'f_number', 'pixel_pitch_m', 'focus_distance_m', 'focus_dioptre_sigma', 'gain_sigma', 'side')


def main(argv=None) -> int:
    """Exit code 0 when the plan was printed, 2 for a lens or a range that cannot be (one sentence says why)."""
    options = _parser().parse_args(argv)
    try:
        table = read_table(options.weights)
        lens = _lens(options, table.error)
        numbers = _plan(lens, table, options)
        if options.plot:
            _plot(options.plot, lens, table)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(strict(numbers), indent=2) + '\n')
    except (ValueError, OSError) as error:
        print(f'plan_lens: {error}', file=sys.stderr)
        return 2
    print(text(lens, numbers))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='plan_lens', description=__doc__.split(': ', 1)[1])
    add = parser.add_argument
    add('--lens', metavar='FILE', help='lens file; values below override it')
    add('--focal-length-m', type=float, help='focal length in metres')
    add('--f-number', type=float)
    add('--pixel-pitch-m', type=float, help='metres per pixel of the image as processed')
    add('--focus-distance-m', type=float, help='where the lens is focused (default with --range: where it is best)')
    add('--focus-dioptre-sigma', type=float, help='1 sigma of the focus in 1/m')
    add('--gain-sigma', type=float, help='1 sigma of the gain, relative')
    add('--side', choices=SIDES, help='side of focus on which the scene lies')
    add('--range', type=float, nargs=2, metavar=('NEAR', 'FAR'), help='metres that are to be seen')
    add('--share', type=float, default=SHARE, help='sigma over depth that is good enough (default %(default)s)')
    add('--noise', type=float, default=1e-3, help='read noise over white, for the floor (default %(default)s)')
    add('--weights', default=WEIGHTS, help='safetensors file with its .blur.json (default %(default)s)')
    add('--plot', type=Path, metavar='FILE', help='write a picture, .png or .svg')
    add('--json', type=Path, metavar='FILE', help='write the numbers here')
    return parser


def _lens(options, error) -> Lens:
    if not options.share > 0:
        raise LensError(f'the share is {options.share:g}; it must be above zero')
    values = read_lens_values(options.lens) if options.lens else {}
    given = {name: getattr(options, name) for name in GIVEN if getattr(options, name) is not None}
    if 'focus_distance_m' in given:
        values = {name: value for name, value in values.items() if name != 'focus_dioptre'}
    values |= given
    if options.range and not {'focus_distance_m', 'focus_dioptre'} & set(values):
        values['focus_distance_m'] = options.range[1]
    return Lens.from_dict(values)


def _plan(lens: Lens, table, options) -> dict:
    depth = np.array(DISTANCES_M)[np.array(DISTANCES_M) > 1.5 * lens.focal_length_m]
    blur = lens.coc(1 / depth)
    floor = floor_px(np.abs(blur), options.noise) / lens.gain * depth
    sigma = planning.relative_sigma(lens, table.error, depth)
    near, far = planning.reach(lens, table.error, options.share)
    numbers = {
        'gain': lens.gain,
        'share': options.share,
        'reach_m': [near, far],
        'ambiguous_from_m': planning.ambiguous_from(lens),
        'by_distance': [
            {
                'depth_m': float(d),
                'coc_px': float(c),
                'sigma_m': float(s * d),
                'sigma_share': float(s),
                'floor_m': float(f * d),
                'twin_m': float(planning.twin(lens, d)),
            }
            for d, c, s, f in zip(depth, blur, sigma, floor, strict=True)
        ],
    }
    if options.range:
        nearest, farthest = options.range
        best = planning.focus_for(lens, table.error, nearest, farthest)
        span = np.geomspace(nearest, farthest, 100)
        numbers['range'] = {
            'near_m': nearest,
            'far_m': farthest,
            'focus_distance_m': best.focus_distance_m,
            'side': best.side,
            'worst_share': float(planning.relative_sigma(best, table.error, span).max()),
            'largest_coc_px': float(np.abs(best.coc(1 / span)).max()),
            'readable_coc_px': float(table.coc_px[-1]),
        }
    return numbers


def text(lens: Lens, numbers: dict) -> str:
    """The plan as it is printed."""
    lines = [
        f'{lens.focal_length_m * 1e3:.3g} mm f/{lens.f_number:.3g}, focus {lens.focus_distance_m:.3g} m, side '
        f'{lens.side}: {lens.gain:.3g} px of CoC for each dioptre',
        '',
        f'{"depth m":>8}{"CoC px":>9}{"1 sigma m":>11}{"of depth":>10}{"floor m":>10}{"twin m":>9}',
    ]
    for row in numbers['by_distance']:
        lines.append(
            f'{row["depth_m"]:8.2f}{row["coc_px"]:9.2f}{row["sigma_m"]:11.3f}{row["sigma_share"]:10.0%}'
            f'{row["floor_m"]:10.4f}' + (f'{row["twin_m"]:9.2f}' if np.isfinite(row['twin_m']) else f'{"-":>9}')
        )
    near, far = numbers['reach_m']
    reach = 'nowhere' if np.isnan(near) else f'from {near:.2f} to {far:.2f} m'
    lines += ['', f'1 sigma within {numbers["share"]:.0%} of depth: {reach}.']
    if np.isfinite(numbers['ambiguous_from_m']):
        lines.append(
            f'From {numbers["ambiguous_from_m"]:.2f} m on, blur alone leaves two answers, one on each side of focus '
            '(twin); focus so that the scene lies on one side and say so with lens.side.'
        )
    if 'range' in numbers:
        best = numbers['range']
        lines.append(
            f'For {best["near_m"]:g} to {best["far_m"]:g} m: focus at {best["focus_distance_m"]:.2f} m, side '
            f'{best["side"]}; 1 sigma is then {best["worst_share"]:.0%} of depth where it is worst.'
        )
        if best['largest_coc_px'] > best['readable_coc_px']:
            lines.append(
                f'Blur then reaches {best["largest_coc_px"]:.0f} px, more than the {best["readable_coc_px"]:.0f} px '
                'that the networks read: close the aperture, shrink the image, or ask for less.'
            )
    return '\n'.join(lines)


def _plot(path: Path, lens: Lens, table) -> None:
    from matplotlib.figure import Figure

    depth = np.geomspace(max(0.1, 2 * lens.focal_length_m), 20, 400)
    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.add_subplot()
    axes.loglog(depth, planning.relative_sigma(lens, table.error, depth))
    axes.axvline(lens.focus_distance_m, linestyle='--', label='focus')
    axes.set_xlabel('depth [m]')
    axes.set_ylabel('expected 1 sigma / depth')
    axes.grid(True, which='both', alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == '__main__':
    raise SystemExit(main())
