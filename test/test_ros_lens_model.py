"""The topic `lens_model`: latched, and said again only when something other than the focus of a driver is news."""

import json

import pytest

pytest.importorskip('rclpy')

from node_bench import LENS, Bench, FakeEstimator, picture, wait
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import depth_node, outputs, qos
from dfd_depth_ros.scenes.lens_model import read_lens_model

BY_STATE = LENS | {'lens.source': 'joint_state', 'lens.wait_s': 1.0}
STATE = {'focus_dioptre': 0.5}


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)


def state(values):
    return JointState(name=list(values), position=list(map(float, values.values())))


class Listening:
    """A bench, and the models that a listener that came late has got."""

    def __init__(self, made):
        self.made, self.seconds = made, 0
        made.listen('lens_model', String, qos.latched())
        wait(lambda: self.models, 'the model for a latecomer')

    @property
    def models(self):
        return [json.loads(message.data) for message in self.made.received['lens_model']]

    def serve(self, image=None, **values):
        """Serve one image, with that lens state before it."""
        self.seconds += 1
        if values:
            self.made.send(self.seconds, state(values), 'lens')
        self.made.send(self.seconds, image)
        self.made.depth(self.seconds)
        self.made.settled()
        return self

    def own(self):
        return self.models[-1]['custom']['dfd_depth_ros']


def test_a_latecomer_hears_the_model_that_was_said_once():
    with Bench().connect() as made:
        late = Listening(made)
        assert Lens.from_dict(read_lens_model(made.received['lens_model'][0].data)) == Lens(0.05, 2.0, 4e-5, 0.5)
        assert late.models[0]['static']['camera']['activeSensorResolution'] == {'height': 6, 'width': 8}
        facts = {name: late.own()[name] for name in ('source', 'quality', 'weights_digest')}
        assert facts == {'source': 'parameters', 'quality': 'UNCALIBRATED', 'weights_digest': 'd1935'}
        for _ in range(5):
            late.serve()
        assert len(late.models) == 1


def test_a_driver_that_focuses_is_no_news_and_one_that_stops_down_is():
    with Bench(parameters=BY_STATE).connect(('lens', state(STATE))) as made:
        late = Listening(made)
        for focus in (0.5, 0.7, 1.0):
            late.serve(focus_dioptre=focus)
        late.serve(focus_dioptre=1.0, f_number=4.0)
        wait(lambda: len(late.models) > 1, 'the new aperture')
        assert len(late.models) == 2
        assert late.own()['f_number'] == 4.0 and late.own()['focus_dioptre'] == 1.0
        assert late.own()['source'] == 'joint_state'


@pytest.mark.parametrize(('name', 'value'), [('f_number', 4.0), ('focal_length_m', 0.035), ('focus_distance_m', 4.0)])
def test_parameters_are_news(name, value):
    with Bench().connect() as made:
        late = Listening(made)
        made.node.set_parameters([Parameter(f'lens.{name}', value=value)])
        late.serve()
        wait(lambda: len(late.models) > 1, 'the new lens')
        assert getattr(Lens.from_dict(read_lens_model(made.received['lens_model'][-1].data)), name) == value


def test_another_size_of_image_and_other_weights_are_news():
    estimator = FakeEstimator()
    with Bench(estimator).connect() as made:
        late = Listening(made)
        late.serve(picture(height=12, width=16))
        wait(lambda: len(late.models) > 1, 'the new size')
        assert late.models[-1]['static']['camera']['activeSensorResolution'] == {'height': 12, 'width': 16}
        estimator.digest = 'e2046'
        late.serve(picture(height=12, width=16))
        wait(lambda: len(late.models) > 2, 'the new weights')
        assert late.own()['weights_digest'] == 'e2046' and len(late.models) == 3


def test_a_model_that_cannot_be_published_is_named_and_its_depth_counts_as_published(monkeypatch):
    def broken(message):
        raise outputs.RCLError('no memory')

    with Bench().connect() as made:
        monkeypatch.setattr(made.node._outputs._model._publisher, 'publish', broken)
        made.node.set_parameters([Parameter('lens.f_number', value=4.0)])
        made.send(0)
        made.depth(0)
        made.status(lambda level, text, values: 'lens_model could not be published: no memory' in text)
        counts = made.settled()
        assert counts['outputs'] == counts['inputs'] == 1 and counts['drops'] == 0
        monkeypatch.undo()
        late = Listening(made)
        late.serve()
        wait(lambda: late.own()['f_number'] == 4.0, 'a second attempt')


def test_the_topic_ends_with_the_configuration():
    with Bench().connect() as made:
        assert dict(made.tester.get_topic_names_and_types())['/lens_model'] == ['std_msgs/msg/String']
        made.node.trigger_deactivate()
        made.node.trigger_cleanup()
        wait(lambda: made.tester.count_publishers('/lens_model') == 0, 'the end of the topic')
