"""The `calibrate_lens` and `plan_lens` commands: what they print, write, return and refuse."""

import json

import cv2
import numpy as np
import pytest
import torch
import yaml

from dfd_depth_ros.cli import calibrate_lens, plan_lens
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.psf import blur
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.scenes.simulated import MILD_NOISE, true_lens
from dfd_depth_ros.scenes.textures import dead_leaves

TOLD = Lens.focused_at(1.0, focal_length_m=0.025, f_number=2.8, pixel_pitch_m=1.4e-5)
TRUE = true_lens(TOLD, -0.2, -0.1)


@pytest.fixture(scope='module')
def boards(tmp_path_factory):
    """Boards at eight measured distances through a lens that is told wrong, as a user records them."""
    folder, rng, lines = tmp_path_factory.mktemp('boards'), np.random.default_rng(3), []
    for number, coc in enumerate((-7, -5, -3, -1, 2, 4, 6, 8)):
        inverse = TRUE.inverse_depth(coc)
        light = from_srgb(torch.from_numpy(dead_leaves(rng) * 0.8).float().permute(2, 0, 1))[:, :256, :256]
        seen = blur(light, torch.tensor(abs(float(coc)))).clamp(0, 1).permute(1, 2, 0).numpy()
        cv2.imwrite(str(folder / f'{number}.png'), MILD_NOISE.expose(seen, rng)[..., ::-1])
        lines.append(json.dumps({'image': f'{number}.png', 'depth_m': 1 / inverse, 'lens': TOLD.to_dict()}))
    (folder / 'frames.jsonl').write_text('\n'.join(lines))
    return folder


def run(command, *arguments):
    return command.main([str(argument) for argument in arguments])


def test_a_simulated_lens_is_recovered_by_the_shipped_weights(boards, tmp_path, capsys):
    code = run(
        calibrate_lens, boards, '--out', tmp_path / 'lens.yaml', '--json', tmp_path / 'n.json', '--report', tmp_path
    )
    assert code == 0
    lens = read_lens(tmp_path / 'lens.yaml')
    assert lens.focus_dioptre == pytest.approx(TRUE.focus_dioptre, rel=0.02)
    assert abs(lens.gain / TRUE.gain - 1) < 2 * lens.gain_sigma < 0.4
    assert abs(lens.gain / TRUE.gain - 1) < abs(TOLD.gain / TRUE.gain - 1) / 1.5
    numbers = json.loads((tmp_path / 'n.json').read_text())
    assert numbers['mode'] == 'depth' and numbers['error_px_after'] < numbers['error_px_before'] / 2
    text = (tmp_path / 'lens.yaml').read_text()
    assert text.startswith(f'# Made by: calibrate_lens {boards} --out') and f'quality: {lens.quality}' in text
    assert '<svg' in (tmp_path / 'index.html').read_text()
    out = capsys.readouterr().out
    assert f'lens: {tmp_path}/lens.yaml' in out
    assert 'note: the networks read the blur, since pictures could not be compared: ' in out


@pytest.mark.parametrize(
    'mode, message',
    [
        (
            'sweep',
            'there is no depth and no focus sweep: 1 focus settings, 3 are the least; give depth with the frames, or '
            'record a static scene at 5 settings and more',
        ),
        ('target', '0.png and 1.png do not show the same target: they correlate by '),
    ],
)
def test_refusals(boards, tmp_path, capsys, mode, message):
    assert run(calibrate_lens, boards, '--mode', mode, '--out', tmp_path / 'lens.yaml') == 2
    assert f'calibrate_lens: {message}' in capsys.readouterr().err
    assert not (tmp_path / 'lens.yaml').exists()


def test_no_table_beside_the_weights(boards, tmp_path, capsys):
    assert run(calibrate_lens, tmp_path / 'nothing.jsonl', '--out', tmp_path / 'lens.yaml') == 2
    assert capsys.readouterr().err == f'calibrate_lens: {tmp_path}/nothing.jsonl does not exist\n'


# plan_lens

PI = ('--lens', 'config/lenses/pi_camera_module_3.yaml')


def test_a_pi_camera_is_told_its_reach(tmp_path, capsys):
    assert run(plan_lens, *PI, '--json', tmp_path / 'p.json', '--plot', tmp_path / 'p.png', '--range', 0.3, 1) == 0
    numbers = json.loads((tmp_path / 'p.json').read_text())
    assert 0.4 < numbers['reach_m'][1] < 1.2
    out = capsys.readouterr().out
    assert f'1 sigma within 20% of depth: from {numbers["reach_m"][0]:.2f} to {numbers["reach_m"][1]:.2f} m.' in out
    assert 'From 0.25 m on, blur alone leaves two answers' in out and 'For 0.3 to 1 m: focus at' in out
    assert cv2.imread(str(tmp_path / 'p.png')) is not None
    rows = numbers['by_distance']
    assert all(row['floor_m'] < row['sigma_m'] for row in rows)
    assert all(a['sigma_m'] < b['sigma_m'] for a, b in zip(rows[3:], rows[4:], strict=False))


def test_a_lens_by_numbers_focused_for_a_range(capsys):
    lens = ('--focal-length-m', 0.025, '--f-number', 1.4, '--pixel-pitch-m', 6.9e-6)
    assert run(plan_lens, *lens, '--range', 0.5, 3) == 0
    out = capsys.readouterr().out
    assert '25 mm f/1.4' in out and 'more than the' in out and 'that the networks read: close the aperture' in out


@pytest.mark.parametrize(
    'arguments, message',
    [
        (('--focal-length-m', 0.025), 'lens has no f_number, pixel_pitch_m'),
        ((*PI, '--range', 1, 0.3), 'the range 1 to 0.3 m is none; give the near end first, both above zero'),
        ((*PI, '--share', 0), 'the share is 0; it must be above zero'),
        ((*PI, '--gain-sigma', -1), 'lens gain_sigma is -1; it must not be negative'),
    ],
)
def test_a_plan_that_cannot_be(capsys, arguments, message):
    assert run(plan_lens, *arguments) == 2
    assert capsys.readouterr().err == f'plan_lens: {message}\n'


def test_written_lens_files_are_read_again(tmp_path):
    from dfd_depth_ros.scenes.lens_files import write_lens

    values = TOLD.to_dict() | {'gain_sigma': 0.05, 'quality': 'APPROXIMATE'}
    write_lens(tmp_path / 'new' / 'lens.yaml', values, {'f_number': 'two\nlines'}, 'head')
    assert yaml.safe_load((tmp_path / 'new' / 'lens.yaml').read_text()) == values
    assert '# two\n# lines\nf_number: 2.8\n' in (tmp_path / 'new' / 'lens.yaml').read_text()
    assert read_lens(tmp_path / 'new' / 'lens.yaml').quality == 'APPROXIMATE'
