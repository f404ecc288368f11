"""Compare a DuoGuard model with two other systems: a regression on TF-IDF features, and
a list of words.

    python examples/compare_systems.py duoguard-eval systems
    python -m spacy duoguard evaluate duoguard-eval --model demo --language En \
        --scores regression=systems/regression.jsonl \
        --scores words=systems/words.jsonl --plots systems

The first command fits the regression on the rows that the demo checkpoint was trained
on (En/openai.json and En/rtp_lx_prompt.json, without every fifth row) and writes
results for all others of these files and of toxic_chat.json. Rows that a system lacks
are left out for all systems, so each is measured on texts that it hasn't seen.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

FLAGS = {"openai": "moderation_flag", "rtp_lx_prompt": "class"}
OTHERS = {"toxic_chat": "moderation_flag"}

WORDS = re.compile(
    r"\b(kill|murder|hate|bomb|weapon|shoot|stab|attack|rape|sex|porn|naked|fuck|shit|"
    r"bitch|idiot|stupid|suicide|die|drugs|steal|hack|gun)(s|ed|ing)?\b",
    re.IGNORECASE,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the evaluation files")
    parser.add_argument("output", type=Path, help="folder for the results")
    args = parser.parse_args(arguments)
    fitted: list[tuple[str, int]] = []
    texts: list[str] = []
    for i, text, flag in read_rows(args.data, FLAGS):
        if i % 5:
            fitted.append((text, flag))
        else:
            texts.append(text)
    texts += [text for _, text, _ in read_rows(args.data, OTHERS)]
    scores = fit([t for t, _ in fitted], [flag for _, flag in fitted], texts)
    args.output.mkdir(parents=True, exist_ok=True)
    rows = zip(texts, scores, strict=True)
    write(
        args.output / "regression.jsonl",
        ({"text": text, "score": score} for text, score in rows),
    )
    write(
        args.output / "words.jsonl",
        ({"text": text, "flagged": bool(WORDS.search(text))} for text in texts),
    )


def read_rows(data: Path, files: dict[str, str]) -> Iterator[tuple[int, str, int]]:
    """data (Path): The folder with the evaluation files.
    files (Dict[str, str]): The names of files, and the field that says what is unsafe.
    YIELDS (Tuple[int, str, int]): The index of each row, its text, and whether it is
        unsafe."""
    for name, key in files.items():
        content = (data / "En" / f"{name}.json").read_text(encoding="utf8")
        for i, row in enumerate(json.loads(content)):
            yield i, row["prompt"], int(row[key])


def fit(
    texts: Sequence[str], flags: Sequence[int], others: Sequence[str]
) -> list[float]:
    """texts (Sequence[str]): The texts to learn from.
    flags (Sequence[int]): Whether they are unsafe.
    others (Sequence[str]): The texts to score.
    RETURNS (List[float]): The probabilities that they are unsafe."""
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    regression = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
    model = make_pipeline(features, regression).fit(texts, flags)
    return [float(p) for p in model.predict_proba(others)[:, 1]]


def write(path: Path, rows: Iterable[dict]) -> None:
    """path (Path): A JSON lines file.
    rows (Iterable[Dict]): The results."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(lines, encoding="utf8")
    print(path)


if __name__ == "__main__":
    main()
