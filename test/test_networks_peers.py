"""The small networks after other people's ideas: their shapes, what they are told, and what they can learn."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.estimation.estimator import DepthEstimator
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.networks.peers import HIDDEN, PEERS, REFERENCE, Referred, Regression, referred
from dfd_depth_ros.networks.weights import (
    DFD,
    WeightsError,
    from_bytes,
    load_weights,
    make_model,
    save_weights,
    to_bytes,
)
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.training.data import Batch
from dfd_depth_ros.training.losses import FARTHEST, NEAREST, log_depth_loss, total
from dfd_depth_ros.training.validation import calibrate_sigma, validate

LENS = Lens(0.05, 2.0, 5e-5, 0.5)
OTHER = Lens(0.05, 2.0, 5e-5, 0.7)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    inverse = torch.linspace(0.2, 1.2, 64).expand(2, 1, 64, 64)
    state = torch.tensor([lens_state(lens, 64, 64) for lens in (LENS, OTHER)])
    coc = state[:, :1, None, None] * (state[:, 1:2, None, None] - inverse)
    return Batch(torch.rand(2, 3, 64, 64), coc, state)


@pytest.mark.parametrize('name', PEERS)
@pytest.mark.parametrize('size', [(64, 64), (72, 100)])
def test_every_peer_gives_a_prediction_of_the_size_of_the_picture(name, size):
    model = make_model(name).eval()
    lens = torch.tensor([lens_state(LENS, *size), lens_state(OTHER, *size)])
    prediction = model(torch.rand(2, 3, *size), lens)
    for values in (prediction.coc, prediction.sigma, prediction.far, prediction.inverse_depth()):
        assert values.shape == (2, 1, *size) and bool(values.isfinite().all())
    assert model.architecture == name and float(prediction.inverse_depth().min()) > -1


@pytest.mark.parametrize('name', PEERS)
def test_every_peer_learns_one_batch_by_heart(name, batch):
    """A few steps on the same batch bring the loss down: gradients reach what they must."""
    model = make_model(name)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        loss = sum(total(model.distribution(batch.image, batch.lens), batch).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ('name', 'told'), [('peer_d3', False), ('peer_image_only', False), ('peer_stack', True), ('dfd_small', True)]
)
def test_who_is_told_of_the_lens(name, told, batch):
    """Another aperture changes the inverse depth of those that know the lens and of no other one."""
    torch.manual_seed(1)
    model = make_model(name).eval()
    if name == 'dfd_small':  # its last layer begins at zero, and blur alone is then told
        torch.nn.init.normal_(model.depth_net.head.weight)
    wider = batch.lens * torch.tensor([2.0, 1, 1, 1, 1])
    one, two = (model(batch.image, lens).inverse_depth() for lens in (batch.lens, wider))
    assert bool(((one - two).abs() > 1e-3).any()) == told


def test_image_only_sees_no_blur(batch):
    """What changes within squares of HIDDEN pixels and not in their mean changes nothing."""
    model = make_model('peer_image_only').eval()
    checks = torch.ones(HIDDEN, HIDDEN)
    checks[::2] = -1
    finer = batch.image * 0.5 + 0.25
    rough = finer + 0.2 * checks.repeat(64 // HIDDEN, 64 // HIDDEN)
    one, two = (model(image, batch.lens).coc for image in (finer, rough))
    torch.testing.assert_close(one, two, atol=0.3, rtol=0.05)  # the contrast of the shrunk picture is the same


def test_a_stack_is_looked_at_together_and_others_are_not(batch):
    pictures = batch.image.clone()
    pictures[1] = 0.5 + 0.1 * pictures[1].flip(-1)
    for name, together in (('peer_stack', True), ('peer_d3', False)):
        torch.manual_seed(0)
        model = make_model(name).eval()
        one, two = (model(image, batch.lens).coc[0] for image in (batch.image, pictures))
        assert bool(((one - two).abs() > 1e-5).any()) == together


def test_what_is_referred_to_one_lens_is_inverse_depth(batch):
    """The two pictures of a scene have different CoC, and one that is referred."""
    found = referred(batch.lens, batch.coc)
    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=1e-4)
    inverse = REFERENCE[1] - found / REFERENCE[0]
    torch.testing.assert_close(inverse[0, 0, 0], torch.linspace(0.2, 1.2, 64), atol=1e-4, rtol=1e-4)


def test_a_regression_that_knows_the_truth_has_no_loss(batch):
    gain, focus = (batch.lens[:, i, None, None, None] for i in (0, 1))
    inverse, blur = focus - batch.coc / gain, batch.coc[..., 1::4, 1::4].abs()
    right = total(Regression(inverse, blur), batch)
    assert set(right) == {'depth', 'blur'} and all(float(value) < 1e-5 for value in right.values())
    wrong = total(Regression(inverse * 1.5), batch)
    assert set(wrong) == {'depth'}
    expected = (torch.log(inverse * 1.5).clamp(max=np.log(1 / NEAREST)) - torch.log(inverse)).abs().mean()
    assert float(wrong['depth']) == pytest.approx(float(expected), rel=1e-4) and FARTHEST > 1


def test_terms_follow_what_was_found(batch):
    found = make_model('peer_image_only').distribution(batch.image, batch.lens)
    assert type(found) is Referred and set(total(found, batch)) == {'coc', 'outline', 'siamese'}
    found = make_model('dfd_small').distribution(batch.image, batch.lens)
    assert set(total(found, batch)) == {'blur', 'coc', 'side', 'outline', 'siamese'}


@pytest.mark.parametrize('name', PEERS)
def test_peers_pass_validation_and_files(name, batch, tmp_path):
    model = make_model(name).eval()
    model.sigma_scale.fill_(calibrate_sigma(model, [batch]))
    numbers = validate(model, [batch])
    assert numbers['coverage_1sigma'] == pytest.approx(0.68, abs=0.02) and np.isfinite(list(numbers.values())).all()
    digest = save_weights(tmp_path / 'a.safetensors', model, {'steps': 1})
    again, record, found = load_weights(tmp_path / 'a.safetensors')
    assert found == digest and record == {'steps': 1} and type(again) is type(model)
    torch.testing.assert_close(again.eval()(batch.image, batch.lens).coc, model(batch.image, batch.lens).coc)
    assert float(log_depth_loss(model(batch.image, batch.lens), batch)) > 0


@pytest.mark.parametrize('name', ['peer_d3', 'peer_image_only'])
def test_the_estimator_takes_a_peer_for_one_picture(name):
    estimator = DepthEstimator(make_model(name), 'cpu', digest='abc')
    found = estimator.estimate(np.full((50, 70, 3), 90, np.uint8), LENS)
    assert found.depth.shape == (50, 70) and (found.depth > 0).all() and estimator.model_name == name


def test_unknown_architectures_are_refused():
    with pytest.raises(ValueError) as error:
        make_model('peer_none')
    assert str(error.value) == f"unknown architecture 'peer_none'; there are {', '.join(DFD)}"
    data = to_bytes(make_model('peer_d3'), {}).replace(b'peer_d3', b'peer_e3')
    with pytest.raises(WeightsError, match="unknown architecture 'peer_e3'"):
        from_bytes(data, 'x')
