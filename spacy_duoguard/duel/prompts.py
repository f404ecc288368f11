"""What the generator and the judge are asked, from a file that users can replace."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import srsly

from ..engine.checkpoint.files import read_text
from ..errors import DuoGuardError, Errors, SettingsError
from ..taxonomy import UNSAFE
from .seeds import Seed

_TEMPLATES: dict[str, set[str]] = {  # what each must hold
    "system": set(),
    "generate_unsafe": {"text", "language"},
    "generate_safe": {"text", "language"},
    "contrast": {"text", "language"},
    "judge_system": set(),
    "judge": {"text"},
}
_BLANK = re.compile(r"\{(\w+)\}")
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "«": "»"}

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Prompts:
    """The templates of messages, and how refusals begin."""

    templates: Mapping[str, str]
    refusals: tuple[str, ...]

    def for_generator(self, seed: Seed, language: str, *, unsafe: bool) -> Messages:
        """seed (Seed): The labelled text.
        language (str): The language to write in.
        unsafe (bool): Whether the new text should be unsafe.
        RETURNS (List[Dict[str, str]]): The messages that ask for one."""
        name = "generate_unsafe" if unsafe else "generate_safe"
        if seed.unsafe and not unsafe:
            name = "contrast"
        listed = [key for key, value in seed.cats.items() if value and key != UNSAFE]
        values = {
            "text": seed.text,
            "language": language,
            "categories": ", ".join(listed) or "the community's rules",
        }
        return self._messages("system", name, values)

    def for_judge(self, text: str, language: str) -> Messages:
        """text (str): A generated text.
        language (str): Its language.
        RETURNS (List[Dict[str, str]]): The messages that ask for a rating."""
        values = {"text": text, "language": language, "categories": ""}
        return self._messages("judge_system", "judge", values)

    def _messages(self, system: str, user: str, values: dict[str, str]) -> Messages:
        contents = {
            "system": self._fill(system, values),
            "user": self._fill(user, values),
        }
        return [
            {"role": role, "content": text} for role, text in contents.items() if text
        ]

    def _fill(self, name: str, values: dict[str, str]) -> str:
        # In one pass, so that a text with "{language}" in it stays as it is.
        return _BLANK.sub(lambda match: values[match[1]], self.templates[name])

    def is_refusal(self, answer: str) -> bool:
        """answer (str): What a model answered.
        RETURNS (bool): Whether it begins as refusals do."""
        return answer.lstrip().casefold().startswith(self.refusals)


def read_prompts(path: str | None) -> Prompts:
    """path (Optional[str]): A YAML file, None for ours.
    RETURNS (Prompts): The prompts.
    RAISES (SettingsError): The file can't be read, or lacks something."""
    name = path or "prompts.yml"
    try:
        content = srsly.yaml_loads(read_prompts_text(path))
    except (DuoGuardError, ValueError) as e:
        raise SettingsError(Errors.E290.format(path=name, problem="no YAML")) from e
    except Exception as e:  # the errors of the YAML parser share no public base
        raise SettingsError(Errors.E290.format(path=name, problem="no YAML")) from e
    if problem := _find_problem(content):
        raise SettingsError(Errors.E290.format(path=name, problem=problem))
    refusals = tuple(phrase.casefold() for phrase in content["refusals"])
    return Prompts({key: content[key].strip() for key in _TEMPLATES}, refusals)


def read_prompts_text(path: str | None) -> str:
    """path (Optional[str]): As for `read_prompts`.
    RETURNS (str): The content of the file.
    RAISES (CheckpointError): It can't be read."""
    if path is None:
        return files(__package__).joinpath("prompts.yml").read_text(encoding="utf8")
    return read_text(Path(path))


def _find_problem(content: Any) -> str | None:
    if not isinstance(content, Mapping):
        return "not a mapping"
    expected = {*_TEMPLATES, "refusals"}
    if content.keys() != expected:
        return f"its keys must be {', '.join(sorted(expected))}"
    for name, needed in _TEMPLATES.items():
        if not isinstance(content[name], str):
            return f"{name} is not a string"
        blanks = set(_BLANK.findall(content[name]))
        if not needed <= blanks:
            return f"{name} lacks {{{min(needed - blanks)}}}"
        if unknown := blanks - {"text", "language", "categories"}:
            return f"{name} has {{{min(unknown)}}}, which is unknown"
    refusals = content["refusals"]
    if not isinstance(refusals, list) or not all(
        isinstance(phrase, str) and phrase.strip() for phrase in refusals
    ):
        return "refusals is not a list of strings"
    return None


def clean_answer(answer: str) -> str:
    """answer (str): What a generator answered.
    RETURNS (str): The text, without white space and quotation marks around it."""
    text = answer.strip()
    if len(text) > 2 and _QUOTES.get(text[0]) == text[-1]:
        inner = text[1:-1]
        if text[0] not in inner and text[-1] not in inner:
            return inner.strip()
    return text
