"""Recognizing that memory ran out."""

import torch

# Of errors that have no class of their own: torch's allocator of CPU memory, the CUDA
# driver and Metal, and CUDA libraries that allocate a workspace.
_MESSAGES = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")


def out_of_memory(error: BaseException) -> bool:
    """error (BaseException): What a computation raised.
    RETURNS (bool): Whether a smaller batch could fit."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    message = str(error) if isinstance(error, RuntimeError) else ""
    return any(text in message for text in _MESSAGES)
