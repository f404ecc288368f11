"""Choosing a device, a precision and a batch size."""

import re

import torch

from ...errors import Errors, SettingsError
from .int8_linear import int8_products

PRECISIONS: tuple[str, ...] = ("auto", "float32", "bfloat16", "int8")
KERNELS: tuple[str, ...] = ("auto", "torch", "triton", "native")

_DEVICE = re.compile(r"auto|cpu|cuda|cuda:\d+|mps")

# Tokens per packed batch. On a CPU, larger batches gain nothing once products are bound
# by arithmetic, and fall out of the cache; a GPU needs more to be busy. Measured with
# `examples/benchmarks/budget.py`.
_BATCH_TOKENS: dict[str, int] = {"cpu": 1024, "cuda": 65536, "mps": 8192}


def check_device(device: str) -> None:
    """device (str): The setting.
    RAISES (SettingsError): It is not a supported device."""
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise SettingsError(Errors.E007.format(value=device))


def check_precision(precision: str) -> None:
    """precision (str): The setting.
    RAISES (SettingsError): It is not one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        choices = ", ".join(repr(choice) for choice in PRECISIONS)
        raise SettingsError(Errors.E006.format(value=precision, choices=choices))


def check_kernels(kernels: str) -> None:
    """kernels (str): The setting.
    RAISES (SettingsError): It is not one of `KERNELS`."""
    if kernels not in KERNELS:
        choices = ", ".join(repr(choice) for choice in KERNELS)
        raise SettingsError(Errors.E110.format(value=kernels, choices=choices))


def resolve_device(device: str) -> torch.device:
    """device (str): "auto" (CUDA if torch has it, else the CPU), "cpu", "cuda",
        "cuda:N" or "mps".
    RETURNS (torch.device): The device.
    RAISES (SettingsError): It is not a device, or not available here.
    """
    check_device(device)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    resolved = torch.device(device)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    available = {
        "cpu": True,
        "cuda": (resolved.index or 0) < gpus,
        "mps": torch.backends.mps.is_available(),
    }
    if not available[resolved.type]:
        seen = (
            f"{gpus} CUDA devices and {'an' if available['mps'] else 'no'} MPS device"
        )
        raise SettingsError(Errors.E008.format(value=device, found=seen))
    return resolved


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """precision (str): One of `PRECISIONS`.
    device (torch.device): The device to compute on.
    RETURNS (torch.dtype): "auto" is bfloat16 if the hardware supports it natively (CUDA
        capability 8.0 or higher, CPUs with AMX or AVX512-BF16), else float32. So is
        "int8": this is the dtype of saved weights, and of everything but the linear
        layers.
    RAISES (SettingsError): An unknown precision, or one that is not available here.
    """
    check_precision(precision)
    if precision == "int8":
        check_int8(device)
    if precision in ("auto", "int8"):
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def check_int8(device: torch.device) -> None:
    """device (torch.device): The device to compute on.
    RAISES (SettingsError): It does not multiply int8 natively."""
    if device.type != "cpu" or not int8_products():
        raise SettingsError(Errors.E054.format(device=device))


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return False


def batch_tokens(device: torch.device) -> int:
    """device (torch.device): The decoder's device.
    RETURNS (int): The default budget of a packed batch, in tokens."""
    return _BATCH_TOKENS[device.type]


def computes_apart(device: torch.device) -> bool:
    """device (torch.device): The decoder's device.
    RETURNS (bool): Whether the host can go on while it computes."""
    return device.type == "cuda"
