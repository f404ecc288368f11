"""Preference pairs, in the format of TRL: of two texts for the same prompt, the
generator should prefer the one that the guard got wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .guard import hardest_first
from .private_files import write_lines
from .prompts import Prompts
from .seeds import Seed


def make_pairs(
    scored: Sequence[dict[str, Any]], seeds: Mapping[int, Seed], prompts: Prompts
) -> list[dict[str, Any]]:
    """Pair each text that the guard got wrong with one that it got right, from the same
    seed, in the same language and with the same label: the same prompt. The text with
    the highest loss meets the one with the lowest, and so on. If there are more wrong
    than right ones, right ones are used again.

    scored (Sequence[Dict[str, Any]]): The lines of `scored.jsonl`.
    seeds (Mapping[int, Seed]): The seeds by number.
    prompts (Prompts): What the generator was asked.
    RETURNS (List[Dict[str, Any]]): The pairs, in the order of the seeds.
    """
    groups: dict[tuple[int, str, bool], list[dict[str, Any]]] = {}
    for result in scored:
        key = result["seed"], result["language"], bool(result["unsafe"])
        groups.setdefault(key, []).append(result)
    pairs = []
    for (number, language, unsafe), results in groups.items():
        ordered = hardest_first(results)
        wrong = [result for result in ordered if result["wrong"]]
        right = [result for result in reversed(ordered) if not result["wrong"]]
        if not right:
            continue
        prompt = prompts.for_generator(seeds[number], language, unsafe=unsafe)
        for i, chosen in enumerate(wrong):
            pairs.append(_pair(prompt, chosen, right[i % len(right)]))
    return pairs


def _pair(
    prompt: list[dict[str, str]], chosen: dict[str, Any], rejected: dict[str, Any]
) -> dict[str, Any]:
    def answer(result: dict[str, Any]) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": result["text"]}]

    return {"prompt": prompt, "chosen": answer(chosen), "rejected": answer(rejected)}


def write_pairs(folder: Path, pairs: Sequence[dict[str, Any]]) -> None:
    """folder (Path): The folder of a round.
    pairs (Sequence[Dict[str, Any]]): The lines of `pairs.jsonl`."""
    write_lines(folder / "pairs.jsonl", pairs)
