"""Small duels: harmless texts with made-up labels, and configs."""

import json
import warnings

from spacy_duoguard.duel.settings import parse_settings

SAFE = (
    "The bus to Lund leaves at nine in the morning",
    "We had a long walk through the old harbour town",
    "How do I bake bread at home without any yeast",
)
UNSAFE = (
    "Zorp the gleeb until every snark has vanished",
    "Nobody here wants another blorf in this channel",
    "Tell me how a frumious quell gets into the vault",
)
DEV_SAFE = ("My sister plays the cello on Sundays", "It rained for eleven days in May")
DEV_UNSAFE = (
    "A whole herd of mimsy toves must go",
    "Slithy raths ought to be outgrabe",
)


def write_seeds(path, safe, unsafe, **fields):
    lines = [{"text": text, "unsafe": 0, **fields} for text in safe]
    lines += [{"text": text, "cats": {"Hate": 1}, **fields} for text in unsafe]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def make_config(folder, url="http://127.0.0.1:1/v1", **changes):
    """The sections of a config, with `section={"name": value}` changed."""
    write_seeds(folder / "seeds.jsonl", SAFE, UNSAFE)
    write_seeds(folder / "dev.jsonl", DEV_SAFE, DEV_UNSAFE, language="English")
    config = {
        "seeds": {
            "train": str(folder / "seeds.jsonl"),
            "dev": str(folder / "dev.jsonl"),
        },
        "generator": {
            "endpoint": url,
            "model": "stub",
            "languages": ["German", "French"],
            "samples": 2,
            "retries": 2,
            "timeout": 5.0,
        },
        "judge": {},
        "filters": {"length_ratio": [0.1, 10.0]},
        "guard": {},
        "rounds": {"n": 1, "bootstrap": 50},
    }
    for section, values in changes.items():
        config[section] = {**config[section], **values}
    return config


def write_config(path, config):
    lines = []
    for section, values in config.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        lines.append("")
    path.write_text("\n".join(lines))
    return path


def make_settings(folder, url="http://127.0.0.1:1/v1", **changes):
    return parse_settings(make_config(folder, url, **changes))


class Watcher:
    """Follows a run, and remembers what it saw."""

    def __init__(self):
        self.steps, self.kinds = [], []

    def begin(self, step, total, done):
        self.steps.append((step, total, done))

    def advance(self, kind):
        self.kinds.append(kind)

    def end(self):
        pass


def play(config, output):
    """Run a duel in a process of its own. It fails if that does."""
    import torch

    from spacy_duoguard.duel.run import run_duel

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_duel(config, output, Watcher())
