"""Memory of a GPU: telling that there is too little of it, and giving back what is not used."""

import sys


class TooLittleMemoryError(ValueError):
    """A GPU without enough memory for an image, where nothing else may be used."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether a CUDA device had too little memory. Needs no PyTorch."""
    torch = sys.modules.get('torch')
    return torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)


def give_back() -> None:
    """Return to the GPU what PyTorch keeps for later. Does nothing where no GPU was used."""
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
