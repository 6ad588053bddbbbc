"""Self-consistency: right depth explains a change of blur, wrong depth does not, and moving scenes say nothing."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.evaluation.consistency import MOVES, SHARPENS, STANDS, consistency, missing
from dfd_depth_ros.evaluation.scoring import evaluate
from dfd_depth_ros.evaluation.table import text_table
from dfd_depth_ros.optics.formation import render_rgbd
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame

SHAPE = (96, 128)
LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=2.0, pixel_pitch_m=1e-4)


def scene():
    """All-in-focus picture and the depth of a floor: 1.5 m below, 4 m above."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    aif = cv2.resize(noise, SHAPE[::-1], interpolation=cv2.INTER_NEAREST)
    inverse = np.linspace(1 / 4, 1 / 1.5, SHAPE[0], dtype=np.float32)
    return aif, np.repeat(1 / inverse[:, None], SHAPE[1], 1)


def stack(foci=(1.5, 1.8, 3.0)):
    aif, depth = scene()
    lenses = [replace(LENS, focus_dioptre=1 / metres) for metres in foci]
    return [
        Frame(f'{n}', image=render_rgbd(aif, 1 / depth, lens), lens=lens, stamp=n / 10, sequence='s')
        for n, lens in enumerate(lenses)
    ]


def reading(frame, depth):
    coc = frame.lens.coc(1 / depth)
    return Estimate(depth, 0.1 * depth, coc, (coc > 0).astype(np.float32))


def both(depth, frames=None, factor=1.0):
    first, second = (frames or stack())[1:]
    return consistency((first, reading(first, depth)), (second, reading(second, factor * depth)))


def test_true_depth_explains_the_change_of_blur_and_wrong_depth_does_not():
    _, depth = scene()
    right, wrong = both(depth), both(depth[::-1].copy())
    assert right['focus_disagreement'] == pytest.approx(0, abs=1e-6)
    assert right['reblur_ratio'] < 0.6 < wrong['reblur_ratio'] and right['reblur_levels'] < wrong['reblur_levels']


def test_disagreement_across_focus_by_hand():
    found = both(np.full(SHAPE, 2.5, np.float32), factor=1.25)
    assert found['focus_disagreement'] == pytest.approx(2 * (1 / 2.5 - 1 / 3.125) / (1 / 2.5 + 1 / 3.125), rel=1e-4)


def test_nothing_is_said_where_the_lens_stood_still_or_the_scene_moved():
    _, depth = scene()
    frames = stack()
    assert both(depth, [frames[0], frames[1], frames[1]]) == {'no_reblur': STANDS}
    poses = [np.eye(4), np.eye(4)]
    poses[1][0, 3] = 0.1
    moving = [replace(frame, pose=pose) for frame, pose in zip(frames[1:], poses, strict=True)]
    assert both(depth, [frames[0], *moving]) == {'no_reblur': MOVES}
    shifted = replace(frames[2], image=np.roll(frames[2].image, 5, 1))
    assert both(depth, [*frames[:2], shifted]) == {'no_reblur': MOVES}
    other = replace(frames[2], image=np.random.default_rng(1).integers(0, 256, (*SHAPE, 3), dtype=np.uint8))
    assert both(depth, [*frames[:2], other]) == {'no_reblur': MOVES}


@pytest.mark.parametrize('warp', [[[1.02, 0, -1.3], [0, 1.02, -0.9]], [[0.985, 0, 0.9], [0, 0.985, 1.7]]])
def test_focus_breathing_and_a_small_turn_are_taken_out(warp):
    _, depth = scene()
    frames = stack()
    frames[2] = replace(
        frames[2], image=cv2.warpAffine(frames[2].image, np.float32(warp), SHAPE[::-1], borderMode=cv2.BORDER_REFLECT)
    )
    right, wrong = both(depth, frames), both(depth[::-1].copy(), frames)
    assert right['reblur_ratio'] < 0.6 < wrong['reblur_ratio'] and right['focus_disagreement'] < 0.03


def test_blur_that_grows_nowhere_is_told():
    near, far = (replace(LENS, focus_dioptre=1 / metres, f_number=number) for metres, number in ((2, 2), (2, 8)))
    aif, _ = scene()
    depth = np.full(SHAPE, 2.0, np.float32)
    frames = [Frame('', image=aif, lens=lens, stamp=0.0) for lens in (near, far)]
    found = both(depth, [frames[0], *frames])
    assert found == {'focus_disagreement': 0, 'no_reblur': SHARPENS}


def test_one_sentence_says_why_there_is_no_number():
    rows = [{}, {'no_reblur': MOVES}, {'no_reblur': STANDS}, {'no_reblur': MOVES}]
    assert missing(rows) == [
        'there is no re-blur error: the camera or the scene moves (2 of 3 pairs of frames), '
        'the lens stands still (1 of 3 pairs of frames)'
    ]
    assert missing([{}]) == missing([*rows, {'reblur_ratio': 0.5}]) == []
    alike = [replace(stack()[1], stamp=float(stamp)) for stamp in (0, 1)]
    assert evaluate(alike, Reader()).numbers['notes'] == [
        'there is no re-blur error: the lens stands still (1 of 1 pairs of frames)'
    ]


def test_unknown_depth_is_far_and_no_failure():
    depth = np.full(SHAPE, np.inf, np.float32)
    assert both(depth)['focus_disagreement'] == 0


class Reader:
    """Gives the true depth of the scene."""

    digest, device, model_name, precision = 'f' * 64, 'cpu', 'fake', 'float32'

    def reset(self):
        """Nothing is kept."""

    def estimate(self, image, lens, stamp=None, pose=None, intrinsics=None):
        return reading(Frame('', lens=lens), scene()[1])


def test_evaluation_without_truth_reports_it_and_with_truth_does_not():
    numbers = evaluate(stack(), Reader()).numbers
    assert numbers['frames_with_truth'] == 0 and numbers['reblur_ratio'] < 0.7 and numbers['focus_disagreement'] == 0
    assert 'Re-blur error' in text_table(numbers) and 'reblur_ratio' in numbers['per_frame'][1]
    known = [replace(frame, depth=scene()[1]) for frame in stack()]
    assert 'reblur_ratio' not in evaluate(known, Reader()).numbers


def test_a_focal_stack_without_stamps_is_one_scene_too():
    frames = [replace(frame, stamp=None) for frame in stack()]
    assert evaluate(frames, Reader()).numbers['focus_disagreement'] == 0
    strangers = [replace(frame, sequence='') for frame in frames]
    assert 'focus_disagreement' not in evaluate(strangers, Reader()).numbers
