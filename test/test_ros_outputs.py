"""What the node publishes of an estimate: range, colours, and topics that fail one by one."""

import math

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.optics.distortion import Distortion, rays
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import messages, outputs
from dfd_depth_ros.ros.parameters import DEPTH_PARAMETERS
from dfd_depth_ros.scenes.frame import Intrinsics

NAN, INF = math.nan, math.inf
SETTINGS = {name: spec.default for name, spec in DEPTH_PARAMETERS.items()}


def estimate(*depths):
    depth = np.float32([depths])
    return Estimate(depth, np.full_like(depth, 0.1), np.zeros_like(depth), np.ones_like(depth))


class Listener:
    """Stands for a publisher that somebody listens to, or nobody."""

    def __init__(self, count=1, error=None):
        self.count, self.error, self.sent = count, error, []

    def get_subscription_count(self):
        return self.count

    def publish(self, message):
        if self.error:
            raise self.error
        self.sent.append(message)


def made(**listeners):
    """Outputs with listeners in place of DDS."""
    result = outputs.Outputs.__new__(outputs.Outputs)
    result._publishers = {topic: listeners.get(topic.replace('/', '_'), Listener(0)) for topic in outputs.TOPICS}
    return result


def result(camera=None, distortion=None, shape=(1, 3)):
    header = messages.to_header(7, 'camera')
    image = np.zeros((*shape, 3), np.uint8)
    seen = estimate(*range(1, shape[1] + 1)) if shape[0] == 1 else flat(shape)
    return outputs.Result(header, image, Lens(0.05, 2.0, 4e-5, 0.5), seen, None, camera, distortion)


def flat(shape):
    """A wall two metres away."""
    depth = np.full(shape, 2, np.float32)
    return Estimate(depth, np.full_like(depth, 0.1), np.zeros_like(depth), np.ones_like(depth))


def test_range_follows_rep_117():
    limited = outputs.limited(estimate(0.5, 1, 4, 5, NAN, INF, -INF), 1.0, 4.0)
    np.testing.assert_array_equal(limited.depth, np.float32([[-INF, 1, 4, INF, NAN, INF, -INF]]))
    np.testing.assert_array_equal(limited.sigma, np.float32([[NAN, 0.1, 0.1, NAN, 0.1, NAN, NAN]]))
    assert limited.depth.dtype == limited.sigma.dtype == np.float32


def test_without_limits_nothing_changes():
    depth = outputs.limited(estimate(0.01, 1e6, NAN), 0.0, INF).depth
    np.testing.assert_array_equal(depth, np.float32([[0.01, 1e6, NAN]]))


def test_near_is_red_far_is_blue_and_unknown_is_black():
    colours = outputs.coloured(np.float32([[0.1, 5, 9, NAN, INF, -INF]]), 1.0, 5.0)[0].astype(int)
    assert colours[0][0] > 100 and colours[0][2] < 50
    assert colours[1][2] > colours[1][0] and (colours[1] == colours[2]).all() and (colours[4] == colours[1]).all()
    assert (colours[3] == 0).all() and (colours[5] == colours[0]).all()


def test_a_topic_that_fails_does_not_stop_the_others():
    broken, lens_used = Listener(error=outputs.RCLError('no memory')), Listener()
    problems = made(depth_sigma=broken, lens_used=lens_used).publish_rest(result(), SETTINGS)
    assert problems == ['depth/sigma could not be published: no memory']
    assert len(lens_used.sent) == 1


def test_without_a_camera_there_is_neither_cloud_nor_camera_info():
    points, info = Listener(), Listener()
    assert made(depth_points=points, depth_camera_info=info).publish_rest(result(), SETTINGS) == []
    assert points.sent == info.sent == []


def test_depth_that_cannot_be_published_raises():
    with pytest.raises(outputs.RCLError):
        made(depth_image_rect=Listener(error=outputs.RCLError('no memory'))).publish_depth(result())


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial', 'equidistant', 'fisheye'])
@pytest.mark.parametrize('stride', [1, 3])
def test_the_cloud_of_a_wall_is_straight_behind_a_lens_that_bends(model, stride):
    coefficients = {
        'plumb_bob': (-0.3, 0.1, 0.001, -0.001, 0.0),
        'rational_polynomial': (0.3, 0.05, 0, 0, 0, 0.6, 0, 0),
    }
    bend, camera = Distortion(model, coefficients.get(model, (-0.02, 0.005, 0.0, 0.0))), Intrinsics(80, 82, 47.5, 31.5)
    points = Listener()
    settings = SETTINGS | {'points.stride': stride}
    assert made(depth_points=points).publish_rest(result(camera, bend, (64, 96)), settings) == []
    cloud = np.frombuffer(points.sent[0].data, np.float32).reshape(-1, 4)[:, :3].astype(float)
    assert len(cloud) == math.ceil(64 / stride) * math.ceil(96 / stride) and (cloud[:, 2] == 2).all()
    matrix = np.array([[80, 0, 47.5], [0, 82, 31.5], [0, 0, 1.0]])
    turn = (np.zeros((3, 1)), np.zeros((3, 1)), matrix, np.array(bend.coefficients))
    project = cv2.projectPoints if len(bend.coefficients) > 4 else cv2.fisheye.projectPoints
    seen = project(cloud[:, None], *turn)[0].reshape(-1, 2)
    rows, columns = np.mgrid[0:64:stride, 0:96:stride]
    np.testing.assert_allclose(seen, np.stack([columns.ravel(), rows.ravel()], axis=-1), atol=0.01)


def test_the_cloud_needs_no_new_rays_for_the_next_frame():
    rays.cache_clear()
    bend, camera = Distortion('plumb_bob', (-0.3, 0.1, 0, 0, 0)), Intrinsics(80, 82, 47.5, 31.5)
    for _ in range(5):
        made(depth_points=Listener()).publish_rest(result(camera, bend, (64, 96)), SETTINGS)
    assert rays.cache_info().misses == 1 and rays.cache_info().hits == 4
