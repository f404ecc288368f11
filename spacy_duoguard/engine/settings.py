"""How texts are scored: the settings that do not change the weights."""

from dataclasses import dataclass

from ..errors import Errors, SettingsError
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
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        remedy = " Leave it null for the default."
        message = Errors.E004.format(name=name, value=value, remedy=remedy)
        raise SettingsError(message)
