"""How texts are scored: the settings that do not change the weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import Errors, SettingsError
from ..taxonomy import CATEGORIES, UNSAFE
from .device import check_device, check_precision
from .windows import check_windows


@dataclass(frozen=True)
class Settings:
    """Settings of a `Classifier`, checked when they are made.

    precision (str): "auto", "float32", "bfloat16" or "int8".
    device (str): "auto", "cpu", "cuda", "cuda:N" or "mps".
    window (int): Tokens of a window; 512 is the length that DuoGuard was trained on.
    stride (int): Tokens from the start of one window to that of the next.
    max_windows (Optional[int]): Most windows of a text that are scored, None for all.
    max_batch_tokens (Optional[int]): Tokens of a packed batch, None for the table's.
    RAISES (SettingsError): A value that is out of range or unknown.
    """

    precision: str = "auto"
    device: str = "auto"
    window: int = 512
    stride: int = 384
    max_windows: int | None = None
    max_batch_tokens: int | None = None

    def __post_init__(self) -> None:
        check_precision(self.precision)
        check_device(self.device)
        check_windows(window=self.window, stride=self.stride)
        check_limit("max_windows", self.max_windows)
        check_limit("max_batch_tokens", self.max_batch_tokens)


def check_limit(name: str, value: int | None) -> None:
    """Check an optional limit.

    name (str): Of the setting.
    value (Optional[int]): None for no limit of the user's.
    RAISES (SettingsError): Neither None nor a positive integer.
    """
    if value is not None:
        check_count(name, value, remedy=" Leave it null for the default.")


def check_count(name: str, value: int, *, remedy: str = "") -> None:
    """Check a setting that counts.

    name (str): Of the setting.
    value (int): Its value.
    remedy (str): What else the user can do.
    RAISES (SettingsError): Not a positive integer.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = Errors.E004.format(name=name, value=value, remedy=remedy)
        raise SettingsError(message)


def check_thresholds(
    threshold: float, thresholds: Mapping[str, float], labels: Sequence[str] | None
) -> None:
    """Check what decides flags.

    threshold (float): Of the categories without one of their own.
    thresholds (Mapping[str, float]): Of single categories.
    labels (Optional[Sequence[str]]): The categories; None where they are not known yet.
    RAISES (SettingsError): A value outside [0, 1], or a threshold of no category.
    """
    limits = {"threshold": threshold}
    for key, value in thresholds.items():
        if key == UNSAFE or (labels is not None and key not in labels):
            names = ", ".join(labels or CATEGORIES)
            raise SettingsError(Errors.E002.format(key=key, categories=names))
        limits[f"thresholds['{key}']"] = value
    for name, value in limits.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0.0 <= value <= 1.0:  # false for NaN as well
            raise SettingsError(Errors.E001.format(name=name, value=value))
