"""The lens in a bag: which topic tells it, what `lens_model` completes, and what is wrong with either."""

from dataclasses import replace

import numpy as np
import pytest
from test_scenes_bags import LENS, STEP, camera_info, header, image, joint_state, kind, picture, write

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.bag_lenses import JOINT_STATE, METADATA, TEXT
from dfd_depth_ros.scenes.bags import BagError, read_bag
from dfd_depth_ros.scenes.lens_model import lens_model, to_text

START = 10**9
MODEL = Lens(0.05, 1.4, 4e-5, 9.0, 0.3, 'front')
KNOWN = replace(MODEL, gain_sigma=0.1, quality='APPROXIMATE')


def metadata(stamp, hardware_id='imx708', **values):
    pairs = [kind('diagnostic_msgs/msg/KeyValue')(name, text) for name, text in values.items()]
    status = kind('diagnostic_msgs/msg/DiagnosticStatus')(0, 'camera', '', hardware_id, pairs)
    return kind(METADATA)(header(stamp), [status])


def model(lens=MODEL):
    return kind(TEXT)(to_text(lens_model(lens, 6, 8)))


def images(count=3, namespace='/'):
    """Pictures, one every STEP."""
    stamps = [START + number * STEP for number in range(count)]
    return [(f'{namespace}image_raw', image(stamp, picture(0)), stamp) for stamp in stamps]


def lenses(tmp_path, *messages, lens=None, topics=None, count=3):
    return [frame.lens for frame in read_bag(write(tmp_path / 'bag', [*images(count), *messages]), lens, topics)]


def test_metadata_and_model_make_the_lens(tmp_path):
    told = [metadata(START + n * STEP, LensPosition=text, AfState='2') for n, text in enumerate(('0.5', '[ 1.5 ]'))]
    messages = [('/lens_model', model(), START), *(('/lens_metadata', message, START) for message in told)]
    found = lenses(tmp_path, *messages, count=2)
    assert found == [Lens(0.05, 1.4, 4e-5, 0.5), Lens(0.05, 1.4, 4e-5, 1.5)], 'the focus is never that of the model'


def test_between_metadata_focus_is_linear_in_dioptres(tmp_path):
    told = [metadata(START + n * 2 * STEP, LensPosition=text) for n, text in enumerate(('0.5', '1.5'))]
    messages = [('/lens_model', model(), START), *(('/lens_metadata', message, START) for message in told)]
    assert [lens.focus_dioptre for lens in lenses(tmp_path, *messages)] == pytest.approx([0.5, 1.0, 1.5])


def test_the_best_topic_is_taken(tmp_path):
    topics = {
        'lens': joint_state(START, LENS | {'focus_dioptre': 0.1}),
        'lens_used': joint_state(START, LENS | {'focus_dioptre': 0.2}),
        'lens_metadata': metadata(START, LensPosition='0.3'),
    }
    for number, name in enumerate(topics):
        rest = [(f'/{topic}', message, START) for topic, message in list(topics.items())[number:]]
        (tmp_path / name).mkdir()
        found = lenses(tmp_path / name, ('/lens_model', model(), START), *rest)
        assert {lens.focus_dioptre for lens in found} == {(number + 1) / 10}, name
        assert {lens.pixel_pitch_m for lens in found} == {4e-5}


def test_the_metadata_of_this_camera_count(tmp_path):
    messages = [
        ('/left/lens_metadata', metadata(START, LensPosition='0.5'), START),
        ('/right/lens_metadata', metadata(START, LensPosition='2.0'), START),
        ('/left/lens_model', model(), START),
        ('/right/lens_model', model(Lens(0.025, 2.0, 7e-6, 0.0)), START),
    ]
    bag = read_bag(write(tmp_path / 'bag', [*images(1, '/right/'), *messages]))
    assert bag.kinds == {'image': 'sensor_msgs/msg/Image', 'lens': METADATA, 'lens_model': TEXT}
    assert next(iter(bag)).lens == Lens(0.025, 2.0, 7e-6, 2.0)


def test_a_topic_may_be_named_that_others_speak_on_too(tmp_path):
    messages = [
        ('/diagnostics', metadata(START, 'motor', temperature='40'), START),
        ('/diagnostics', metadata(START + STEP, LensPosition='0.5'), START),
        ('/lens_model', model(), START),
    ]
    found = lenses(tmp_path, *messages, topics={'lens': '/diagnostics'})
    assert found == 3 * [Lens(0.05, 1.4, 4e-5, 0.5)]


def test_a_state_goes_before_the_model_and_so_does_a_lens_that_is_given(tmp_path):
    state = ('/lens', joint_state(START, {'focus_dioptre': 0.5, 'f_number': 4.0}), START)
    messages = [state, ('/lens_model', model(), START)]
    assert lenses(tmp_path, *messages)[0] == Lens(0.05, 4.0, 4e-5, 0.5)
    given = Lens(0.035, 2.0, 8e-6, 1.0, 0.1, 'behind')
    assert next(iter(read_bag(tmp_path / 'bag', given))).lens == Lens(0.035, 4.0, 8e-6, 0.5, 0.1, 'behind')


def test_the_model_goes_before_the_calibration(tmp_path):
    messages = [('/lens', joint_state(START, LENS), START), ('/camera_info', camera_info(START), START)]
    assert lenses(tmp_path, *messages)[0].pixel_pitch_m == 0.05 / 100
    (tmp_path / 'with').mkdir()
    assert lenses(tmp_path / 'with', *messages, ('/lens_model', model(), START))[0].pixel_pitch_m == 4e-5


def test_how_well_the_lens_is_known_comes_with_the_model(tmp_path):
    state = ('/lens', joint_state(START, {'focus_dioptre': 0.5}), START)
    found = lenses(tmp_path, state, ('/lens_model', model(KNOWN), START))[0]
    assert (found.gain_sigma, found.quality) == (0.1, 'APPROXIMATE')


def test_a_model_counts_from_when_it_was_said_and_the_first_one_also_before(tmp_path):
    state = ('/lens', joint_state(START, {'focus_dioptre': 0.5}), START)
    later = [('/lens_model', model(Lens(0.05, f_number, 4e-5, 0.0)), when) for f_number, when in (
        (2.0, START + STEP // 2), (4.0, START + 2 * STEP)
    )]  # fmt: skip
    assert [lens.f_number for lens in lenses(tmp_path, state, *later)] == [2.0, 2.0, 4.0]


def test_a_model_alone_is_no_state(tmp_path):
    assert lenses(tmp_path, ('/lens_model', model(), START)) == [None, None, None]


def test_other_texts_are_no_models(tmp_path):
    chatter = ('/chatter', kind(TEXT)('hello, this is no JSON'), START)
    assert lenses(tmp_path, chatter, ('/lens', joint_state(START, LENS | {'pixel_pitch_m': 1e-5}), START))[0]


@pytest.mark.parametrize(
    ('topic', 'message', 'sentence'),
    [
        ('/lens_metadata', metadata(START, FocusFoM='604'), '/lens_metadata tells no lens state; expected the key '
         'LensPosition'),
        ('/lens_metadata', metadata(START, LensPosition='1,5'),
         "/lens_metadata: lens metadata LensPosition is '1,5'; it must be one number, with a point"),
        ('/lens_model', kind(TEXT)('hello, world'),
         '/lens_model: lens_model cannot be read: JSONDecodeError: Expecting value: line 1 column 1 (char 0)'),
        ('/lens', joint_state(START, {'focus_distance_m': 0.0}),
         '/lens names focus_distance_m; expected some of focal_length_m, f_number, pixel_pitch_m, focus_dioptre, '
         'focus_dioptre_sigma'),
        ('/lens', kind(JOINT_STATE)(header(START), ['focus_dioptre'], np.empty(0), np.empty(0), np.empty(0)),
         '/lens has 1 names for 0 positions'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_topic(tmp_path, topic, message, sentence):
    with pytest.raises(BagError) as error:
        lenses(tmp_path, (topic, message, START))
    assert str(error.value) == sentence
