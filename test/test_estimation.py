"""The one call: frame and lens in, depth with sigma out."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.estimation.estimator import DepthEstimator, ImageError, load_estimator
from dfd_depth_ros.networks.defocus import Defocus
from dfd_depth_ros.networks.model import DfdModel, Prediction
from dfd_depth_ros.networks.weights import WeightsError, save_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Intrinsics

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.8, pixel_pitch_m=5e-5)
IMAGE = np.zeros((6, 8, 3), np.uint8)


class Oracle(torch.nn.Module):
    """Predicts what it is told."""

    architecture = 'oracle'

    def __init__(self, coc, sigma=0.5, blur=2.0):
        super().__init__()
        self.coc, self.sigma, self.blur = coc, sigma, blur

    def for_inference(self):
        """Nothing to fold."""
        return self

    def forward(self, image, lens, side):
        """The same CoC everywhere."""
        coc = torch.full_like(image[:, :1], self.coc)
        blur = torch.full_like(coc, self.blur)
        sigma, defocus = torch.full_like(coc, self.sigma), Defocus(coc, blur, coc, coc, coc)
        return Prediction(coc, sigma, coc.sigmoid(), coc, lens, defocus)


def estimate(coc, lens=LENS, **options):
    return DepthEstimator(Oracle(coc, **options), 'cpu').estimate(IMAGE, lens)


@pytest.mark.parametrize('depth', [1.2, 2.0, 3.1])
def test_depth_and_sigma_by_hand(depth):
    found = estimate(LENS.coc(1 / depth), sigma=0.3)
    assert found.depth.shape == (6, 8) and found.depth.dtype == np.float32
    np.testing.assert_allclose(found.depth, depth, rtol=1e-5)
    np.testing.assert_allclose(found.sigma, depth**2 * 0.3 / LENS.gain, rtol=1e-4)
    np.testing.assert_allclose(found.coc, LENS.coc(1 / depth), rtol=1e-4, atol=1e-4)


def test_unsure_focus_widens_sigma():
    lens = Lens.from_dict(LENS.to_dict() | {'focus_dioptre_sigma': 0.04})
    found = estimate(lens.coc(0.4), lens, sigma=0.3)
    np.testing.assert_allclose(found.sigma, 2.5**2 * np.hypot(0.3 / lens.gain, 0.04), rtol=1e-3)


@pytest.mark.parametrize('side', ['behind', 'front'])
def test_side_of_the_lens_decides_the_sign(side):
    """With any weights, on any picture."""
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    found = DepthEstimator(DfdModel(), 'cpu').estimate(image, Lens.from_dict(LENS.to_dict() | {'side': side}))
    assert ((found.coc > 0) == (side == 'behind')).all() and ((found.depth > 2.0) == (side == 'behind')).all()
    np.testing.assert_allclose(found.far_probability, side == 'behind', atol=1e-5)


def test_nothing_lies_behind_infinity():
    found = estimate(LENS.gain * LENS.focus_dioptre + 2.0, sigma=1.0)
    assert np.isfinite(found.depth).all() and (found.depth > 5).all()
    assert (found.sigma > 0.3 * found.depth).all()


@pytest.mark.parametrize('blur, notes', [(0.1, ('little blur to read',)), (5.0, ()), (31.0, ('blur beyond range',))])
def test_notes_for_diagnostics(blur, notes):
    assert estimate(1.0, blur=blur).notes == notes


@pytest.mark.parametrize(
    'image, message',
    [
        (np.zeros((4, 4), np.uint8), r'the picture must be \(H, W, 3\) uint8 RGB, not uint8 \(4, 4\)'),
        (np.zeros((4, 4, 3), np.float32), r'the picture must be \(H, W, 3\) uint8 RGB, not float32 \(4, 4, 3\)'),
        ([[1]], r'the picture must be \(H, W, 3\) uint8 RGB, not list'),
        (np.zeros((0, 4, 3), np.uint8), 'the picture is empty: 4 x 0 pixels'),
    ],
)
def test_what_is_no_picture(image, message):
    with pytest.raises(ImageError, match=message):
        DepthEstimator(Oracle(1.0), 'cpu').estimate(image, LENS)


def test_ema_averages_steady_pixels_and_follows_jumps():
    estimator = DepthEstimator(Oracle(1.0), 'cpu', 'ema')
    seen = []
    for stamp, coc in enumerate([1.0, 1.2, 1.2, 9.0]):
        estimator.model.coc = coc
        seen.append(float(estimator.estimate(IMAGE, LENS, stamp / 10).coc[0, 0]))
    assert seen[0] == pytest.approx(1.0, rel=1e-3) and 1.0 < seen[1] < seen[2] < 1.2
    assert seen[3] == pytest.approx(9.0, rel=1e-3)


@pytest.mark.parametrize(
    'stamp, lens', [(5.0, LENS), (-1.0, LENS), (0.1, Lens.from_dict(LENS.to_dict() | {'focus_dioptre': 1}))]
)
def test_the_past_is_dropped_after_a_pause_a_jump_back_or_a_new_focus(stamp, lens):
    estimator = DepthEstimator(Oracle(1.0), 'cpu', 'ema')
    estimator.estimate(IMAGE, LENS, 0.0)
    estimator.model.coc = 1.2
    assert float(estimator.estimate(IMAGE, lens, stamp).coc[0, 0]) == pytest.approx(1.2, rel=1e-3)


def test_a_new_size_starts_the_filter_anew():
    estimator = DepthEstimator(Oracle(1.0), 'cpu', 'ema')
    estimator.estimate(IMAGE, LENS, 0.0)
    assert estimator.estimate(IMAGE[:4], LENS, 0.1).depth.shape == (4, 8)


@pytest.mark.parametrize(
    'options, message',
    [
        ({'device': 'tpu'}, "unknown device 'tpu'; there are auto, cpu and cuda"),
        ({'temporal_filter': 'magic'}, "unknown temporal filter 'magic'; there are none, ema, geometry, kalman"),
    ],
)
def test_options_that_are_not_there(options, message):
    with pytest.raises(ValueError, match=message):
        DepthEstimator(Oracle(1.0), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a CUDA device')
def test_cuda_that_is_not_there():
    with pytest.raises(ValueError, match="device 'cuda' was asked for, but there is no CUDA device"):
        DepthEstimator(Oracle(1.0), 'cuda')


def test_from_weights_and_deterministic(tmp_path):
    torch.manual_seed(0)
    digest = save_weights(tmp_path / 'a.safetensors', DfdModel(), {})
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    first, second = (load_estimator(str(tmp_path / 'a.safetensors'), 'cpu') for _ in range(2))
    assert first.digest == digest and first.model_name == 'dfd_small' and first.device == 'cpu'
    one, two = first.estimate(image, LENS), second.estimate(image, LENS)
    assert np.array_equal(one.depth, two.depth) and np.array_equal(one.sigma, two.sigma)
    assert np.isfinite(one.depth).all() and (one.depth > 0).all()


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(WeightsError, match='cannot be read'):
        load_estimator(str(tmp_path / 'none.safetensors'))


def test_poses_and_camera_are_for_the_filter_alone():
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    model, camera = DfdModel(), Intrinsics(1000.0, 1000.0, 31.5, 23.5)
    plain, steady = DepthEstimator(model, 'cpu'), DepthEstimator(model, 'cpu', 'kalman')
    alone, first = plain.estimate(image, LENS), steady.estimate(image, LENS, 0.0, np.eye(4), camera)
    np.testing.assert_array_equal(alone.depth, plain.estimate(image, LENS, 1.0, np.eye(4), camera).depth)
    assert np.isfinite(first.depth).all() and (first.depth > 0).all() and (first.sigma > 0).all()
    second = steady.estimate(image, LENS, 0.1, np.eye(4), camera)
    np.testing.assert_allclose(second.depth, first.depth, rtol=0.02)


def test_kalman_goes_on_where_the_focus_jumps():
    estimator = DepthEstimator(Oracle(LENS.coc(0.4)), 'cpu', 'kalman')
    for stamp in (0.0, 0.1, 0.2):
        estimator.estimate(IMAGE, LENS, stamp)
    moved = Lens.from_dict(LENS.to_dict() | {'focus_dioptre': 0.8})
    estimator.model.coc = moved.coc(0.42)
    assert 0.4 < 1 / float(estimator.estimate(IMAGE, moved, 0.3).depth[0, 0]) < 0.415
