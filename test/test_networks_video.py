"""VideoDepthNet, its packing, PoseNet, and the depth that is carried from frame to frame."""

import pytest
import torch

from dfd_depth_ros.networks import video
from dfd_depth_ros.networks.packing import PackedUNet, Packing, Unpacking
from dfd_depth_ros.networks.pose import PoseNet
from dfd_depth_ros.networks.video import LEVELS, Past, Sight, VideoDepthNet, carry, defocus_cues
from dfd_depth_ros.networks.weights import VIDEO, WeightsError, load_weights, save_weights
from dfd_depth_ros.optics.pinhole import rigid, transfer

LENS = torch.tensor([[12.0, 0.6, 60.0, 15.5, 15.5]])
OPTIONS = [(name, options) for name, options in video.ARCHITECTURES.items()]


def sight(size=(32, 32), batch=1, seed=0) -> Sight:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, *size, generator=generator)
    coc = torch.rand(batch, 1, *size, generator=generator) * 4 - 1
    reading = torch.cat([coc, torch.full_like(coc, 0.5), torch.full_like(coc, 0.8)], 1)
    return Sight(image, LENS.expand(batch, -1), reading)


def still(shown: Sight, inverse_depth: torch.Tensor) -> Past:
    return Past(shown, inverse_depth, torch.eye(4).expand(len(inverse_depth), 4, 4))


def depth(size=(32, 32), seed=1):
    return torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(seed)) + 0.3


@pytest.mark.parametrize(('name', 'options'), OPTIONS)
@pytest.mark.parametrize('size', [(32, 32), (21, 35)])
def test_every_variant_gives_depth_of_any_size_and_lets_gradients_through(name, options, size):
    model, shown = VideoDepthNet(**options), sight(size, 2)
    torch.nn.init.normal_(model.head.weight, std=0.01)
    past = still(sight(size, 2, 5), torch.full((2, 1, *size), 0.7))
    found = model(shown, past)
    assert found.shape == (2, 1, *size) and (found > 0).all() and model.architecture == name
    found.sum().backward()
    assert [key for key, weight in model.named_parameters() if weight.grad is None] == []


def test_untrained_it_says_what_is_known():
    shown = sight()
    assert torch.allclose(VideoDepthNet()(shown), torch.tensor(video.USUAL))
    assert torch.allclose(VideoDepthNet(defocus=True)(shown), defocus_cues(shown)[0], rtol=1e-4)
    past = still(shown, depth())
    assert torch.allclose(VideoDepthNet(recurrent=True)(shown, past), depth(), rtol=1e-4)
    assert torch.allclose(VideoDepthNet(recurrent=True)(shown), torch.tensor(video.USUAL))


def test_without_defocus_the_reading_is_not_looked_at():
    shown, model = sight(), VideoDepthNet().eval()
    torch.nn.init.normal_(model.head.weight)
    assert torch.equal(model(shown), model(Sight(shown.image, shown.lens)))


def test_a_reading_becomes_inverse_depth_through_its_lens():
    """c = 3 px behind focus at K = 12 and 1/s = 0.6: 1/d = 0.6 - 3/12, and on the other side 0.6 + 3/12."""
    reading = torch.tensor([3.0, 0.6, 0.9])[None, :, None, None].expand(1, 3, 4, 4)
    known, maps = defocus_cues(Sight(torch.zeros(1, 3, 4, 4), LENS, reading))
    assert float(known[0, 0, 0, 0]) == pytest.approx(0.35)
    assert float(maps[1][0, 0, 0, 0]) == pytest.approx(torch.tensor(0.85).log().item() / 2)
    assert len(maps) == video.DEFOCUS_CHANNELS


def test_a_reading_beyond_infinity_is_far_and_finite():
    reading = torch.tensor([30.0, 0.6, 0.9])[None, :, None, None].expand(1, 3, 4, 4)
    known, maps = defocus_cues(Sight(torch.zeros(1, 3, 4, 4), LENS, reading))
    assert float(known.max()) == pytest.approx(1 / 60) and all(each.isfinite().all() for each in maps)


def test_carrying_by_the_identity_changes_nothing():
    carried, valid = carry(still(sight(), depth()), LENS)
    assert torch.allclose(carried, depth()) and (valid == 1).all()


def test_carrying_is_its_slow_twin():
    """Every pixel by itself, in loops; the nearest point wins, holes are filled from around."""
    past = Past(sight(), depth(), rigid(torch.tensor([[0, 0.02, 0, 0.1, 0, -0.2]])))
    place, inverse = transfer(past.inverse_depth, LENS, past.motion, LENS)
    expected = torch.zeros(32, 32)
    for row in range(32):
        for column in range(32):
            x, y = place[0, :, row, column].round().long().tolist()
            if 0 <= x < 32 and 0 <= y < 32:
                expected[y, x] = max(expected[y, x], inverse[0, 0, row, column])
    carried, valid = carry(past, LENS)
    hit = expected > 0
    assert torch.allclose(carried[0, 0][hit], expected[hit]) and (valid[0, 0][hit] == 1).all()
    for row, column in (~hit).nonzero().tolist():
        around = expected[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max()
        assert float(valid[0, 0, row, column]) == float(around > 0)


def test_what_was_never_seen_is_unknown():
    aside = rigid(torch.tensor([[0, 0, 0, -0.5, 0, 0]]))
    _, valid = carry(Past(sight(), torch.full((1, 1, 32, 32), 0.5), aside), LENS)
    assert (valid[..., :16] == 1).all() and (valid[..., -12:] == 0).all()


def test_matching_peaks_at_the_true_parallax():
    """A picture moved by 8 pixels, which is 2 at a quarter: with depth known too far, the level 2 above fits best."""
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 64, 128)
    picture = torch.nn.functional.avg_pool2d(picture, 5, 1, 2)
    lens = torch.tensor([[12.0, 0.6, 100.0, 63.5, 31.5]])
    shift = rigid(torch.tensor([[0, 0, 0, -0.08, 0, 0]]))  # 8 px for each dioptre
    now, then = picture[..., 8:72], picture[..., :64]
    model = VideoDepthNet(recurrent=True).eval()
    known = torch.full((1, 1, 64, 64), 2.0)
    past = Past(Sight(then, lens), known, shift)
    scores = model.matched(Sight(now, lens), past, known)[0, :LEVELS, 4:-4, 6:10].mean((1, 2))
    assert int(scores.argmax()) in range(LEVELS)
    true = model.matched(Sight(now, lens), past, torch.full_like(known, 1.0))[0, :LEVELS, 4:-4, 6:10].mean((1, 2))
    assert int(true.argmax()) == LEVELS // 2 and int(scores.argmax()) == LEVELS // 2 - 2


def test_packing_folds_and_unfolds_shapes():
    x = torch.rand(2, 8, 12, 20)
    packed = Packing(8, 16)(x)
    assert packed.shape == (2, 16, 6, 10)
    assert Unpacking(16, 8)(packed).shape == x.shape
    assert PackedUNet((8, 16, 24), (1, 1, 1))(x).shape == x.shape


def test_packing_keeps_every_pixel():
    """A change of any one pixel reaches the packed features: nothing is skipped by a stride."""
    block = Packing(1, 4).eval()
    x = torch.rand(1, 1, 4, 4)
    x.requires_grad_()
    block(x).square().sum().backward()
    assert (x.grad != 0).all()


def test_pose_net_begins_with_the_identity_and_learns():
    net, first, second = PoseNet(), sight(batch=2).image, sight(batch=2, seed=4).image
    motion = net(first, second, LENS.expand(2, -1))
    assert torch.equal(motion, torch.eye(4).expand(2, 4, 4))
    (motion[:, 0, 3].sum() + motion[:, 0, 1].sum()).backward()
    assert (net.head.bias.grad != 0).any()


@pytest.mark.parametrize(('name', 'options'), OPTIONS)
def test_weights_come_back_as_they_were(tmp_path, name, options):
    model = VideoDepthNet(**options)
    torch.nn.init.normal_(model.head.weight)
    digest = save_weights(tmp_path / 'a.safetensors', model, {'steps': 1})
    again, record, found = load_weights(tmp_path / 'a.safetensors', VIDEO)
    assert (record, found, again.architecture) == ({'steps': 1}, digest, name)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))


def test_weights_of_another_kind_are_refused(tmp_path):
    path = tmp_path / 'a.safetensors'
    save_weights(path, VideoDepthNet(), {})
    with pytest.raises(WeightsError) as error:
        load_weights(path)
    assert str(error.value) == f"weights {path} have the unknown architecture 'video'"
