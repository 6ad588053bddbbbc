"""Depth as its readers take it: Nav2, PCL and depth_image_proc by their subscriptions, and every quality of service.

What they ask for was read in their sources: `depth_image_proc/src/point_cloud_xyz.cpp` subscribes image and camera info
with the system's default quality, reliable on every common middleware, and pairs equal stamps;
`nav2_costmap_2d/plugins/obstacle_layer.cpp` subscribes the cloud as sensor data, best effort, and reads x, y and z as
float32, where NaN fails every comparison.
"""

import numpy as np
import pytest

pytest.importorskip('rclpy')

from node_bench import CAMERA, FRAME_ID, LENS, Bench, picture, wait
from rclpy.qos import QoSProfile, qos_profile_sensor_data, qos_profile_system_default
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from dfd_depth_ros.ros import depth_node, messages, outputs, qos

INFO = messages.to_camera_info(CAMERA, 6, 8, messages.to_header(0, FRAME_ID))
FRAMES = 20
FLOAT = PointField.FLOAT32


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)


def read_points(cloud: PointCloud2) -> np.ndarray:
    """(N, 3) as sensor_msgs::PointCloud2ConstIterator<float> reads them: by offset and step."""
    fields = {field.name: field for field in cloud.fields}
    assert all((fields[name].datatype, fields[name].count) == (FLOAT, 1) for name in 'xyz')
    count = cloud.height * cloud.width
    raw = np.frombuffer(cloud.data, np.uint8).reshape(count, cloud.point_step)
    columns = [raw[:, fields[name].offset : fields[name].offset + 4].copy().view('<f4')[:, 0] for name in 'xyz']
    return np.stack(columns, -1)


def check_layout(cloud: PointCloud2, organised: bool):
    """What PCL and the iterators of sensor_msgs rely on."""
    assert cloud.header.frame_id == FRAME_ID and not cloud.is_bigendian
    assert cloud.row_step == cloud.width * cloud.point_step and len(cloud.data) == cloud.height * cloud.row_step
    ends = [field.offset + 4 * field.count for field in cloud.fields]
    assert sorted(ends) == ends and ends[-1] <= cloud.point_step and cloud.point_step % 4 == 0
    assert not cloud.is_dense or np.isfinite(read_points(cloud)).all()
    assert cloud.is_dense is not organised and (cloud.height == 1) is not organised


@pytest.mark.parametrize('topic', outputs.TOPICS)
def test_reliable_and_best_effort_readers_both_get_everything(topic):
    got = {'reliable': [], 'best effort': []}
    with Bench() as bench:
        kind = outputs.TOPICS[topic]
        bench.tester.create_subscription(kind, topic, got['reliable'].append, qos.reliable(FRAMES))
        bench.tester.create_subscription(kind, topic, got['best effort'].append, qos_profile_sensor_data)
        publisher = bench.node._outputs._publishers[topic]
        wait(lambda: publisher.get_subscription_count() >= 2, 'two readers')
        bench.connect(('camera_info', INFO))
        wait(lambda: all(got.values()), 'first messages')
        for messages_of in got.values():
            messages_of.clear()
        for index in range(FRAMES):
            bench.send(index, picture(red=index + 5))
            bench.depth(index)
            wait(lambda count=index + 1: all(len(found) == count for found in got.values()), 'both')
    stamps = {name: [message.header.stamp.sec for message in found] for name, found in got.items()}
    assert stamps['reliable'] == stamps['best effort'] == list(range(1000, 1000 + FRAMES))


@pytest.mark.parametrize('organised', [False, True])
def test_the_cloud_as_nav2_and_pcl_read_it(organised):
    parameters = LENS | {'points.organised': organised, 'points.max_sigma_m': 0.03, 'range.min_m': 0.5}
    image = picture(red=20)
    image[0, :3, 0] = (50, 0, 200)  # unsure, nearer than can be, unsure
    with Bench(parameters=parameters) as bench:
        bench.listen('depth/points', PointCloud2, qos_profile_sensor_data)
        bench.connect(('camera_info', INFO))
        bench.send(0, image)
        cloud = wait(lambda: bench.received['depth/points'])[-1]
    check_layout(cloud, organised)
    points = read_points(cloud)
    known = points[np.isfinite(points).all(1)]
    assert len(points) == (48 if organised else len(known)) and 40 < len(known) < 48
    assert (known[:, 2] > 0).all(), 'z is forward in the optical frame'
    np.testing.assert_allclose(known[:, 2], 2.0, rtol=1e-6)


def test_a_cloud_without_points_is_well_formed():
    with Bench(parameters=LENS | {'points.max_sigma_m': 0.0}) as bench:
        bench.listen('depth/points', PointCloud2, qos_profile_sensor_data)
        bench.connect(('camera_info', INFO))
        bench.send(0, picture())
        cloud = wait(lambda: bench.received['depth/points'])[-1]
    check_layout(cloud, organised=False)
    assert (cloud.height, cloud.width, len(cloud.data)) == (1, 0, 0)


def test_depth_image_proc_gets_pairs_and_makes_the_points_of_our_cloud():
    """image_transport pairs image and camera info by equal stamps; the node then computes (u - cx) z / fx."""
    pairs = {'depth/image_rect': Image, 'depth/camera_info': CameraInfo}
    quality = QoSProfile(depth=5, history=qos_profile_system_default.history)
    got = {topic: {} for topic in pairs}
    with Bench(parameters=LENS | {'points.organised': True, 'points.max_sigma_m': 9.0}) as bench:
        for topic, kind in pairs.items():
            bench.tester.create_subscription(
                kind, topic, lambda m, seen=got[topic]: seen.update({str(m.header.stamp): m}), quality
            )
        bench.listen('depth/points', PointCloud2)
        bench.connect(('camera_info', INFO))
        bench.send(0, picture(red=30))
        cloud = wait(lambda: bench.received['depth/points'])[-1]
        stamp = str(cloud.header.stamp)
        wait(lambda: all(stamp in seen for seen in got.values()), 'a pair')
    image, info = (seen[stamp] for seen in got.values())
    assert image.encoding == '32FC1' and (image.width, image.height) == (info.width, info.height)
    assert image.header == info.header == cloud.header
    depth = messages.to_depth(image)
    v, u = np.mgrid[:6, :8]
    fx, cx, fy, cy = info.p[0], info.p[2], info.p[5], info.p[6]
    expected = np.stack([(u - cx) * depth / fx, (v - cy) * depth / fy, depth], -1).reshape(-1, 3)
    np.testing.assert_allclose(read_points(cloud), expected, rtol=1e-5, atol=1e-6)
