"""What a duel depends on. A run only goes on if none of it has changed."""

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..engine.checkpoint.manifest import digest_file
from ..errors import Errors, SettingsError
from .generator_training import read_dpo_text
from .guard_training import read_train_config
from .prompts import read_prompts_text
from .settings import DuelSettings

# How, and not what: these may change between runs.
_FREE: tuple[str, ...] = (
    "endpoint",
    "api_key_env",
    "concurrency",
    "timeout",
    "retries",
    "python",
)
_FREE += ("give_up_after", "device", "gpu_id", "review")


def fingerprint(settings: DuelSettings) -> dict[str, Any]:
    """settings (DuelSettings): Checked settings.
    RETURNS (Dict[str, Any]): Those that decide the result, and digests of the files
        that they name."""
    sections = {
        name: {key: value for key, value in values.items() if key not in _FREE}
        for name, values in asdict(settings).items()
    }
    # Lists, as JSON gives back.
    plain = {
        f"[{name}] {key}": list(value) if isinstance(value, tuple) else value
        for name, values in sections.items()
        for key, value in values.items()
    }
    guard = Path(settings.guard.pipeline)
    if guard.is_dir():
        plain["[guard] pipeline (content)"] = _digest_folder(guard)
    plain["[judge] asked"] = settings.judge.endpoint is not None
    contents = {
        "[seeds] train": Path(settings.seeds.train).read_bytes(),
        "[seeds] dev": Path(settings.seeds.dev).read_bytes(),
        "[generator] prompts": read_prompts_text(settings.generator.prompts).encode(),
        "[generator] dpo": read_dpo_text(settings.generator.dpo).encode(),
        "[guard] train": read_train_config(settings.guard.train).to_bytes(
            interpolate=False
        ),
    }
    digests = {
        f"{name} (content)": sha256(content).hexdigest()
        for name, content in contents.items()
    }
    return plain | digests


def _digest_folder(folder: Path) -> str:
    """A digest of all files of a folder and their names."""
    digest = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        line = f"{path.relative_to(folder).as_posix()} {digest_file(path)}\n"
        digest.update(line.encode("utf8"))
    return digest.hexdigest()


def check_same(saved: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """saved (Mapping[str, Any]): The fingerprint of the run to continue.
    now (Mapping[str, Any]): That of this one.
    folder (Path): The output, for messages.
    RAISES (SettingsError): They differ."""
    names = sorted(
        name for name in saved.keys() | now.keys() if saved.get(name) != now.get(name)
    )
    if names:
        raise SettingsError(Errors.E299.format(path=folder, names=", ".join(names)))
