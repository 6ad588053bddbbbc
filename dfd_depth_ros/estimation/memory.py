"""Memory: telling that a GPU has too little of it, keeping at hand what each image needs, and giving it back."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT_BYTES, LARGEST_BYTES = 1 << 30, 32 << 20  # freed at the top before pages are given back; glibc allows no more


class TooLittleMemoryError(ValueError):
    """A GPU without enough memory for an image, where nothing else may be used."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether a CUDA device had too little memory. Needs no PyTorch."""
    torch = sys.modules.get('torch')
    return torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)


def keep_pages() -> None:
    """Have glibc keep the pages of freed tensors for those of the next image. By itself it gives large ones back or
    not, by the luck of how they lie, and then the system clears tens of megabytes anew for each image: up to 8 of 100
    ms. Does nothing with another C library."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt:
        mallopt(MMAP_THRESHOLD, LARGEST_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Return to the system and to the GPU what is kept for later."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim:
        trim(0)
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
