"""Which device, which precision, how many tokens at once."""

import re

import torch

from ...errors import Errors, SettingsError
from .int8_linear import eight_bit_products

PRECISIONS: tuple[str, ...] = ("auto", "float32", "bfloat16", "int8")

_DEVICE = re.compile(r"auto|cpu|cuda|cuda:\d+|mps")

# Tokens of a packed batch. On a CPU larger batches gain nothing once the products
# are bound by arithmetic, and leave the cache; a GPU wants more to fill it.
# `examples/benchmarks/budget.py` measures them anew.
_BATCH_TOKENS: dict[str, int] = {"cpu": 1024, "cuda": 65536, "mps": 8192}


def check_device(device: str) -> None:
    """device (str): The setting.
    RAISES (SettingsError): It is no device of the contract."""
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise SettingsError(Errors.E007.format(value=device))


def check_precision(precision: str) -> None:
    """precision (str): The setting.
    RAISES (SettingsError): It is not one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        choices = ", ".join(repr(choice) for choice in PRECISIONS)
        raise SettingsError(Errors.E006.format(value=precision, choices=choices))


def resolve_device(device: str) -> torch.device:
    """device (str): "auto" (CUDA where torch has it, else the CPU), "cpu", "cuda",
        "cuda:N" or "mps".
    RETURNS (torch.device): The device.
    RAISES (SettingsError): Not a device, or not available here.
    """
    check_device(device)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = torch.device(device)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    available = {
        "cpu": True,
        "cuda": (found.index or 0) < gpus,
        "mps": torch.backends.mps.is_available(),
    }
    if not available[found.type]:
        seen = (
            f"{gpus} CUDA devices and {'an' if available['mps'] else 'no'} MPS device"
        )
        raise SettingsError(Errors.E008.format(value=device, found=seen))
    return found


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """precision (str): One of `PRECISIONS`.
    device (torch.device): Where it is to be computed.
    RETURNS (torch.dtype): "auto" is bfloat16 where the hardware multiplies it
        natively (CUDA from 8.0, CPUs with AMX or AVX512-BF16), else float32. "int8" is
        the same: what is not a product with weights, and what is saved, has this dtype.
    RAISES (SettingsError): An unknown precision, or one that is not to be had here.
    """
    check_precision(precision)
    if precision == "int8":
        check_eight_bit(device)
    if precision in ("auto", "int8"):
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def check_eight_bit(device: torch.device) -> None:
    """device (torch.device): Where to multiply eight bits.
    RAISES (SettingsError): It does not do that natively."""
    if device.type != "cpu" or not eight_bit_products():
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
    """device (torch.device): Where the decoder is.
    RETURNS (int): The budget of a packed batch, in tokens."""
    return _BATCH_TOKENS[device.type]
