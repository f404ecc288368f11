"""The settings of a classifier that don't change its weights."""

from dataclasses import dataclass
from typing import Any

from ..errors import Errors, SettingsError
from .network.device import check_device, check_kernels, check_precision


@dataclass(frozen=True)
class Settings:
    """The settings of a `Classifier`, checked when they are created.

    precision (str): "auto", "float32", "bfloat16" or "int8".
    device (str): "auto", "cpu", "cuda", "cuda:N" or "mps".
    window (int): Tokens per window. DuoGuard was trained on 512.
    stride (int): Tokens from the start of one window to the start of the next.
    max_windows (Optional[int]): Maximum number of windows to score per text; None
        scores all.
    max_batch_tokens (Optional[int]): Tokens per packed batch; None takes the default
        for the device.
    kernels (str): "torch", "triton" for fused kernels on a CUDA device, or "native"
        for kernels that are compiled for the CPU. "auto" is "triton" on a CUDA
        device if that package is installed, and otherwise "torch".
    RAISES (SettingsError): A value is out of range or unknown.
    """

    precision: str = "auto"
    device: str = "auto"
    window: int = 512
    stride: int = 384
    max_windows: int | None = None
    max_batch_tokens: int | None = None
    kernels: str = "auto"

    def __post_init__(self) -> None:
        check_precision(self.precision)
        check_device(self.device)
        check_kernels(self.kernels)
        check_windows(window=self.window, stride=self.stride)
        check_limit("max_windows", self.max_windows)
        check_limit("max_batch_tokens", self.max_batch_tokens)


def check_windows(*, window: int, stride: int, n_special: int = 0) -> None:
    """Check that windows leave no gap.

    window (int): Tokens per window, special ones included.
    stride (int): Tokens from the start of one window to the start of the next.
    n_special (int): Special tokens that the tokenizer adds to each window.
    RAISES (SettingsError): `stride` isn't in [1, window - n_special].
    """
    for name, value in (("window", window), ("stride", stride)):
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        if not is_integer or window < 1:
            message = Errors.E004.format(name=name, value=value, remedy="")
            raise SettingsError(message)
    if not 1 <= stride <= window - n_special:
        specials = (
            f" ({n_special} tokens of each window belong to the tokenizer's template)"
            if n_special
            else ""
        )
        raise SettingsError(
            Errors.E003.format(
                stride=stride, window=window - n_special, specials=specials
            )
        )


def check_limit(name: str, value: int | None) -> None:
    """Check an optional limit.

    name (str): The name of the setting.
    value (Optional[int]): Its value; None is no limit.
    RAISES (SettingsError): It is neither None nor a positive integer.
    """
    if value is not None:
        check_count(name, value, remedy=" Leave it null for the default.")


def check_count(name: str, value: int, *, remedy: str = "") -> None:
    """Check a setting that is a count.

    name (str): The name of the setting.
    value (int): Its value.
    remedy (str): What else the user can do, for the message.
    RAISES (SettingsError): It is not a positive integer.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = Errors.E004.format(name=name, value=value, remedy=remedy)
        raise SettingsError(message)


def check_type(name: str, value: Any, expected: type, remedy: str) -> None:
    """Check the type of an argument that is an object of this package, or of objects.

    name (str): The name of the argument.
    value (Any): Its value.
    expected (type): Its type.
    remedy (str): What else the user can do, for the message.
    RAISES (SettingsError): It has another type.
    """
    if not isinstance(value, expected):
        message = Errors.E329.format(
            name=name,
            expected=expected.__name__,
            kind=type(value).__name__,
            remedy=remedy,
        )
        raise SettingsError(message)
