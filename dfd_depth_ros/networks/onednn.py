"""oneDNN, asked directly for what PyTorch does more slowly on a processor.

These are operators of PyTorch's compiler (`torch.ops.mkldnn`), called without the compiler. They know no gradients, so
they are at hand only where nothing is learned, recorded or exported.
"""

import torch

_OPERATORS = ('_convolution_pointwise', '_reorder_convolution_weight', '_linear_pointwise')
AT_HAND = torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)


def at_hand(*tensors: torch.Tensor) -> bool:
    """Whether oneDNN can be asked for what is computed from these."""
    theirs = all(tensor.device.type == 'cpu' and not tensor.requires_grad for tensor in tensors)
    return AT_HAND and theirs and not torch.compiler.is_compiling()


def product(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """x @ matrix, (..., N) and (N, M), many rows by a small matrix. In float32 three to five times as fast as by the
    library that PyTorch asks (MKL, on an AMD EPYC); the same to the last digits."""
    if x.dtype == matrix.dtype == torch.float32 and at_hand(x, matrix):
        return torch.ops.mkldnn._linear_pointwise(x, matrix.T, None, 'none', [], '')
    return x @ matrix
