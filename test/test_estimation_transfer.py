"""Pictures to the networks and results back: the same numbers, in the layout that convolutions like."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.estimation import transfer
from dfd_depth_ros.estimation.estimator import DepthEstimator
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.optics.lens import Lens

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_a_batch_holds_the_picture_in_0_to_1():
    batch = transfer.to_batch(IMAGE, 'cpu')
    assert batch.shape == (1, 3, 6, 8) and batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for channel in range(3):
        np.testing.assert_array_equal(batch[0, channel].numpy(), IMAGE[..., channel].astype(np.float32) / 255)


def test_the_picture_itself_stays_as_it_is():
    image = IMAGE.copy()
    image.setflags(write=False)  # as the bytes of a message may be
    transfer.to_batch(image, 'cpu').fill_(7)
    np.testing.assert_array_equal(image, IMAGE)


def test_arrays_are_float32_and_share_memory_where_they_can():
    maps = torch.rand(2, 6, 8), torch.rand(6, 8, dtype=torch.float64)
    single, double = transfer.to_arrays((maps[0][1], maps[1]))
    assert single.dtype == double.dtype == np.float32
    np.testing.assert_array_equal(single, maps[0][1].numpy())
    np.testing.assert_array_equal(double, maps[1].numpy().astype(np.float32))
    single[0, 0] = 5
    assert maps[0][1, 0, 0] == 5


class FakeDevice:
    """Stands in for the CUDA functions that the module calls, and notes which."""

    def __init__(self, monkeypatch):
        self.calls, empty = [], torch.empty

        def pinned(*shape, pin_memory=False, **options):
            self.calls += ['pinned'] if pin_memory else []
            return empty(*shape, **options)

        monkeypatch.setattr(transfer.torch, 'empty', pinned)
        monkeypatch.setattr(transfer.torch.cuda, 'current_stream', lambda device=None: self)

    def synchronize(self):
        self.calls.append('wait')


class OnDevice:
    """A CPU tensor that says it is on a CUDA device."""

    is_cuda = True

    def __init__(self, tensor):
        self.tensor = tensor

    def float(self):
        return self.tensor.float()


def test_results_of_a_device_come_in_one_copy_and_one_wait(monkeypatch):
    device = FakeDevice(monkeypatch)
    maps = [torch.rand(6, 8) for _ in range(4)]
    arrays = transfer.to_arrays(tuple(map(OnDevice, maps)))
    assert device.calls == ['pinned', 'wait']
    for array, expected in zip(arrays, maps, strict=True):
        np.testing.assert_array_equal(array, expected.numpy())


def test_a_picture_goes_to_a_device_through_pinned_memory(monkeypatch):
    device, sent = FakeDevice(monkeypatch), []
    to = torch.Tensor.to

    def send(tensor, target, non_blocking=False):
        sent.append((str(target), non_blocking, tensor.dtype))
        return to(tensor, 'cpu')

    monkeypatch.setattr(torch.Tensor, 'to', send)
    batch = transfer.to_batch(IMAGE, 'cuda:1')
    assert device.calls == ['pinned'] and sent == [('cuda:1', True, torch.uint8)]
    monkeypatch.undo()
    assert torch.equal(batch, transfer.to_batch(IMAGE, 'cpu'))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_there_and_back_on_cuda():
    batch = transfer.to_batch(IMAGE, 'cuda')
    (array,) = transfer.to_arrays((batch[0, 0],))
    np.testing.assert_array_equal(array, IMAGE[..., 0].astype(np.float32) / 255)


def test_an_estimator_in_half_precision_goes_to_another_device():
    """Its stored weights become float32 first, so that the test of half precision can run there."""
    lens = Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.8, pixel_pitch_m=5e-5)
    image = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    here = DepthEstimator(DfdModel(), 'cpu', half=True)
    before = here.estimate(image, lens)
    there = here.on('cpu')
    assert there.precision in ('bfloat16', 'float32')
    np.testing.assert_allclose(there.estimate(image, lens).depth, before.depth, rtol=0.1)
