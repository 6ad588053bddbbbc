"""VideoEstimator: the interface of DepthEstimator, and what it remembers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dfd_depth_ros.estimation.estimator import ImageError
from dfd_depth_ros.estimation.video import VideoEstimator, lens_and_camera, load_video_estimator, read
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.video import VideoDepthNet
from dfd_depth_ros.networks.weights import WeightsError, save_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Intrinsics

LENS = Lens(0.02, 2.0, 2e-4, 0.5)
CAMERA = Intrinsics(90.0, 90.0, 20.0, 14.0)
SIZE = (34, 45)


def picture(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def estimator(**options) -> VideoEstimator:
    torch.manual_seed(0)
    model = VideoDepthNet(**options)
    torch.nn.init.normal_(model.head.weight, std=0.05)
    return VideoEstimator(model, DfdModel(), digest='abc')


@pytest.mark.parametrize('defocus', [False, True])
def test_an_estimate_is_depth_of_every_pixel_without_a_sigma(defocus):
    found = estimator(defocus=defocus).estimate(picture(), LENS, 0.0, np.eye(4), CAMERA)
    assert found.depth.shape == found.sigma.shape == found.coc.shape == found.far_probability.shape == SIZE
    assert (found.depth > 0).all() and np.isfinite(found.depth).all() and np.isnan(found.sigma).all()
    assert found.coc == pytest.approx(LENS.coc(1 / found.depth))
    assert ((found.far_probability == 1) == (found.coc > 0)).all()


def test_a_name_a_digest_and_a_device_for_reports():
    made = estimator(packed=True, defocus=True)
    assert (made.model_name, made.digest, made.device, made.precision) == (
        'video_packed_defocus',
        'abc',
        'cpu',
        'float32',
    )


def test_the_camera_matters_and_is_worked_out_of_the_lens_where_it_is_unknown():
    state = lens_and_camera(LENS, CAMERA, SIZE).tolist()
    assert state == pytest.approx([LENS.gain, 0.5, 90, 20, 14])
    assert lens_and_camera(LENS, None, SIZE).tolist() == pytest.approx([LENS.gain, 0.5, 100, 22, 16.5])


def depths(made, poses=None, stamps=None, pictures=(0, 1)):
    poses, stamps = poses or [np.eye(4)] * 2, stamps or [0.0, 0.1]
    shown = zip(pictures, poses, stamps, strict=True)
    return [made.estimate(picture(seed), LENS, stamp, pose, CAMERA).depth for seed, pose, stamp in shown]


def test_a_recurrent_network_remembers_until_it_is_reset():
    made = estimator(recurrent=True)
    second = depths(made)[1]
    made.reset()
    alone = made.estimate(picture(1), LENS, 0.1, np.eye(4), CAMERA).depth
    assert not np.allclose(second, alone)
    made.reset()
    assert np.array_equal(depths(made)[1], second)


@pytest.mark.parametrize(
    ('poses', 'stamps'),
    [([np.eye(4), None], None), ([None, np.eye(4)], None), (None, [0.0, 5.0]), (None, [1.0, 0.0])],
)
def test_without_pose_or_after_a_pause_it_begins_anew(poses, stamps):
    made = estimator(recurrent=True)
    second = depths(made, poses, stamps)[1]
    made.reset()
    assert np.array_equal(made.estimate(picture(1), LENS, 9.0, np.eye(4), CAMERA).depth, second)


def test_a_picture_of_another_size_begins_anew():
    made = estimator(recurrent=True)
    made.estimate(picture(0, (32, 32)), LENS, 0.0, np.eye(4), CAMERA)
    second = made.estimate(picture(1), LENS, 0.1, np.eye(4), CAMERA).depth
    made.reset()
    assert np.array_equal(made.estimate(picture(1), LENS, 0.1, np.eye(4), CAMERA).depth, second)


def test_small_motions_far_from_the_origin_are_not_lost():
    """Poses are float64 for that: in float32, a millimetre is gone at 100 km."""
    made, far = estimator(recurrent=True), np.eye(4)
    far[:3, 3] = 1e5
    near = np.eye(4)
    moved = [pose.copy() for pose in (far, near)]
    for pose in moved:
        pose[0, 3] += 0.02
    one = depths(made, [far, moved[0]])[1]
    made.reset()
    other = depths(made, [near, moved[1]])[1]
    assert one == pytest.approx(other, rel=1e-3)


def test_networks_that_forget_do_not_depend_on_what_was_before():
    made = estimator(defocus=True)
    second = depths(made)[1]
    made.reset()
    assert np.array_equal(made.estimate(picture(1), LENS).depth.shape, second.shape)
    assert np.array_equal(made.estimate(picture(1), LENS, 0.0, None, CAMERA).depth, second)


def test_the_side_of_the_lens_is_passed_to_the_reader():
    image = torch.from_numpy(picture()).permute(2, 0, 1)[None].float() / 255
    state, reader = lens_and_camera(LENS, CAMERA, SIZE)[None], DfdModel().eval()
    assert (read(reader, image, state, 'front')[:, 0] <= 0.1).all()
    assert (read(reader, image, state, 'behind')[:, 0] >= -0.1).all()
    one, other = (
        estimator(defocus=True).estimate(picture(), replace(LENS, side=side)).depth for side in ('front', 'behind')
    )
    assert one.mean() < other.mean()


@pytest.mark.parametrize(
    ('image', 'sentence'),
    [
        (None, 'the picture must be (H, W, 3) uint8 RGB, not NoneType'),
        (np.zeros((4, 4)), 'the picture must be (H, W, 3) uint8 RGB, not float64 (4, 4)'),
        (np.zeros((0, 4, 3), np.uint8), 'the picture is empty: 4 x 0 pixels'),
    ],
)
def test_what_is_no_picture_is_refused(image, sentence):
    with pytest.raises(ImageError) as error:
        estimator().estimate(image, LENS)
    assert str(error.value) == sentence


def test_an_estimator_is_loaded_from_two_files(tmp_path):
    made = estimator(defocus=True)
    digest = save_weights(tmp_path / 'video.safetensors', made.model, {})
    save_weights(tmp_path / 'reader.safetensors', made.reader, {})
    paths = (str(tmp_path / 'video.safetensors'), str(tmp_path / 'reader.safetensors'))
    loaded = load_video_estimator(*paths)
    assert loaded.digest == digest
    assert np.array_equal(loaded.estimate(picture(), LENS).depth, made.estimate(picture(), LENS).depth)
    with pytest.raises(WeightsError) as error:
        load_video_estimator(*reversed(paths))
    assert str(error.value) == f"weights {paths[1]} have the unknown architecture 'dfd_small'"


def test_a_reader_other_than_that_of_training_is_refused(tmp_path):
    made = estimator(defocus=True)
    paths = (str(tmp_path / 'video.safetensors'), str(tmp_path / 'reader.safetensors'))
    digest = save_weights(tmp_path / 'reader.safetensors', made.reader, {})
    save_weights(tmp_path / 'video.safetensors', made.model, {'reader': digest})
    assert load_video_estimator(*paths).model.defocus
    save_weights(tmp_path / 'video.safetensors', made.model, {'reader': 'another'})
    with pytest.raises(WeightsError) as error:
        load_video_estimator(*paths)
    assert str(error.value) == (
        f'weights {paths[0]} were trained with another reader than {paths[1]}; train them again'
    )
    save_weights(tmp_path / 'video.safetensors', estimator().model, {'reader': 'another'})
    assert not load_video_estimator(*paths).model.defocus  # asks no reader
