"""CUDA graphs: the networks at one size of picture as a single launch, where that gives what they give without.

A frame of 640 x 480 needs some hundred small kernels, and starting each costs about as long as running it. A graph
records them once and starts them together. Its inputs and outputs live at fixed addresses, so its maps are
copied.

Source: the CUDA graphs section of PyTorch's notes on CUDA semantics.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from dfd_depth_ros.networks.model import Prediction
from dfd_depth_ros.networks.precision import TOLERANCE, moved

WARM_UP = 3  # calls before recording, in which libraries choose their algorithms
MOST_GRAPHS = 4  # sizes and sides of which a graph is kept; others run without one


class Graphed:
    """Calls like predict(image, lens, side), replayed as one graph for each size of picture and side.

    predict: the networks, on a CUDA device. record(function) -> replay: runs the function once and returns what repeats
    it in place; `cuda_graph` unless given. warn(sentence): called where a graph cannot be had or gives something else,
    and predict is called from then on.
    """

    def __init__(self, predict: Callable, record: Callable | None = None, warn: Callable[[str], None] = print):
        self._predict, self._record, self._warn = predict, record or cuda_graph, warn
        self._graphs: dict = {}

    def __call__(self, image: torch.Tensor, lens: torch.Tensor, side: str = 'both') -> Prediction:
        """As `DfdModel`; of what it returns, `defocus` is overwritten by the next call."""
        key = (*image.shape, side)
        if key not in self._graphs and len(self._graphs) < MOST_GRAPHS:
            self._graphs[key] = self._recorded(image, lens, side)
        graph = self._graphs.get(key)
        return graph(image, lens) if graph else self._predict(image, lens, side)

    def _recorded(self, image, lens, side):
        """A replay that has passed its test on this very picture, or None."""
        inputs, size = (image.clone(), lens.clone()), f'{image.shape[-1]}x{image.shape[-2]}'
        other = image.flip(-1)  # a graph that replays nothing would keep what it found while it was recorded
        try:
            with torch.cuda.device_of(image):
                replay, found = self._record(lambda: self._predict(*inputs, side))
                inputs[0].copy_(other)
                replay()
                difference = moved(found, self._predict(other, lens, side))
        except RuntimeError as error:
            self._warn(f'no CUDA graph at {size}: {str(error).splitlines()[0]}')
            return None
        if not difference <= TOLERANCE:
            self._warn(f'no CUDA graph at {size}: it moves the CoC by {difference:.2f} sigma')
            return None

        def run(image, lens):
            inputs[0].copy_(image)
            inputs[1].copy_(lens)
            replay()
            maps = {name: value.clone() for name, value in vars(found).items() if isinstance(value, torch.Tensor)}
            return replace(found, **maps)

        return run


def cuda_graph(function: Callable) -> tuple[Callable, Prediction]:
    """Record a function of tensors on a CUDA device. Returns what replays it, and the prediction that it writes. Raises
    RuntimeError where something in it cannot be recorded."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = function()
    return graph.replay, found
