"""CUDA graphs, without CUDA: a recorder stands in for the device, and what it does wrong is noticed."""

import pytest
import torch

from dfd_depth_ros.estimation.estimator import DepthEstimator
from dfd_depth_ros.networks import graphs
from dfd_depth_ros.networks.defocus import Defocus
from dfd_depth_ros.networks.model import DfdModel, Prediction

LENS = torch.tensor([[12.0, 0.6, 400.0, 3.5, 2.5]])


class Networks:
    """The CoC is the red value in pixels, plus one on the far side; counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, image, lens, side='both'):
        self.calls += 1
        coc = image[:, :1] * 10 + (side == 'behind')
        sigma = torch.ones_like(coc)
        return Prediction(coc, sigma, sigma, coc, lens * 1, Defocus(coc, coc, coc, coc, coc))


def recorder(replays=True, offset=0.0):
    """Records as `cuda_graph` does: a replay computes anew and writes into the tensors of the recording. Where it does
    not replay, they stay; offset: added to the CoC that a replay writes."""

    def record(function):
        found = function()

        def replay():
            if replays:
                again = function()
                found.coc.copy_(again.coc + offset)
                found.lens.copy_(again.lens)

        return replay, found

    return record


def picture(seed=0, size=(6, 8)):
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def graphed(**options):
    """A graphed stand-in and what it warned of."""
    warnings, networks = [], Networks()
    return graphs.Graphed(networks, recorder(**options), warnings.append), networks, warnings


def test_a_replay_gives_what_the_networks_give():
    predict, networks, warnings = graphed()
    for seed in range(3):
        image, lens = picture(seed), LENS * (1 + seed)
        found, exact = predict(image, lens), Networks()(image, lens)
        assert torch.equal(found.coc, exact.coc) and torch.equal(found.lens, exact.lens)
    assert warnings == [] and list(predict._graphs) == [(1, 3, 6, 8, 'both')]


def test_what_one_call_returned_stays_in_the_next():
    predict, _, _ = graphed()
    first = predict(picture(0), LENS)
    before = first.coc.clone(), first.far.clone(), first.lens.clone()
    predict(picture(1), 2 * LENS)
    assert all(torch.equal(now, then) for now, then in zip((first.coc, first.far, first.lens), before, strict=True))


def test_each_size_and_side_has_a_graph_of_its_own():
    predict, networks, _ = graphed()
    for size in ((6, 8), (4, 4)):
        for side in ('both', 'behind'):
            image = picture(size=size)
            assert torch.equal(predict(image, LENS, side).coc, Networks()(image, LENS, side).coc)
    assert len(predict._graphs) == 4


def test_beyond_the_most_graphs_the_networks_run_without(monkeypatch):
    monkeypatch.setattr(graphs, 'MOST_GRAPHS', 1)
    predict, networks, warnings = graphed()
    predict(picture(), LENS)
    calls = networks.calls
    image = picture(size=(4, 4))
    assert torch.equal(predict(image, LENS).coc, Networks()(image, LENS).coc)
    assert networks.calls == calls + 1 and len(predict._graphs) == 1 and warnings == []


@pytest.mark.parametrize(
    ('options', 'warning'),
    [
        ({'offset': 0.5}, 'no CUDA graph at 8x6: it moves the CoC by 0.50 sigma'),
        ({'offset': float('nan')}, 'no CUDA graph at 8x6: it moves the CoC by nan sigma'),
    ],
)
def test_a_replay_that_gives_something_else_is_not_used(options, warning):
    predict, _, warnings = graphed(**options)
    for _ in range(2):
        assert torch.equal(predict(picture(), LENS).coc, Networks()(picture(), LENS).coc)
    assert warnings == [warning]


def test_a_replay_that_does_nothing_is_not_used():
    predict, _, warnings = graphed(replays=False)
    image = picture(1)
    assert torch.equal(predict(image, LENS).coc, Networks()(image, LENS).coc)
    assert len(warnings) == 1 and warnings[0].startswith('no CUDA graph at 8x6: it moves the CoC by ')


def test_what_cannot_be_recorded_runs_without_a_graph():
    def record(function):
        raise RuntimeError('operation not permitted when stream is capturing\nmore about it')

    warnings = []
    predict = graphs.Graphed(Networks(), record, warnings.append)
    assert torch.equal(predict(picture(), LENS).coc, Networks()(picture(), LENS).coc)
    assert warnings == ['no CUDA graph at 8x6: operation not permitted when stream is capturing']


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a CUDA device')
def test_without_a_device_nothing_is_recorded():
    estimator = DepthEstimator(DfdModel(), 'cpu', graphs=True)
    assert not estimator.graphs and estimator._predict == estimator._networks


class WithoutCopies(torch.utils._python_dispatch.TorchDispatchMode):
    """Fails where a tensor is made from Python numbers: on a CUDA device that is a copy, which no graph can record."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert 'lift_fresh' not in str(function), function
        return function(*args, **(kwargs or {}))


@torch.inference_mode()
def test_the_networks_make_no_tensor_from_numbers():
    model = DfdModel().for_inference()
    with WithoutCopies():
        model(picture(size=(32, 64)), LENS)
    with pytest.raises(AssertionError, match='lift_fresh'), WithoutCopies():
        torch.ones(2) * torch.tensor(2.0)
