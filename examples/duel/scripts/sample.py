"""Write harmless texts for a duel, with a made-up policy: what mentions a bird is
"unsafe".

    python scripts/sample.py assets corpus [--texts FOLDER]

The seeds name a few birds only, and the generator knows more of them, so there is
something that the guard can get wrong and learn. With --texts, the seeds and the dev
texts are those of a folder, and the generator imitates the seeds.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import spacy
from spacy.tokens import DocBin

# Of birds and of plants, the seeds have the first third. Dev has them all.
BIRDS = """
heron eagle robin goose crow duck swan dove parrot falcon pigeon owl stork
raven swallow turkey pelican sparrow hawk gull penguin thrush finch crane
"""
PLANTS = """
oak rose tulip apple cherry corn grass ivy lemon maple moss olive onion pepper
pine plum potato rice tomato wheat willow banana cotton daisy
"""
WORDS = {True: BIRDS.split(), False: PLANTS.split()}
PATTERNS = {
    "English": "{name} saw the {thing} {place} {time} and {did}",
    "German": "{name} sah {thing} {place} {time} und {did}",
    "French": "{name} a vu {thing} {place} {time} et {did}",
}
FILLERS = {
    "English": {
        "place": ["near the bridge", "behind the school", "in the market", "at home"],
        "time": ["on Monday", "last week", "this morning", "after dinner", "at noon"],
        "did": ["went on", "told the others", "took a picture", "said nothing"],
    },
    "German": {
        "place": ["bei der Brücke", "hinter der Schule", "im Markt", "zu Hause"],
        "time": ["am Montag", "letzte Woche", "heute früh", "nach dem Essen"],
        "did": ["ging weiter", "sagte es allen", "machte ein Bild", "schwieg dazu"],
    },
    "French": {
        "place": ["près du pont", "derrière la mairie", "au marché", "à la maison"],
        "time": ["lundi soir", "la semaine passée", "ce matin", "après le repas"],
        "did": [
            "a continué",
            "a prévenu tout le monde",
            "a pris une photo",
            "s'est tu",
        ],
    },
}
PEOPLE = "Ana Ben Carla David Emma Felix Greta Hugo Ida Jonas Karin Leo Mona Nils"
LANGUAGES = ("German", "French")  # of the generator


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("assets", type=Path, help="folder for the JSONL files")
    parser.add_argument("corpus", type=Path, help="folder for the .spacy files")
    parser.add_argument("--texts", default="", help="folder with texts of your own")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    rng = random.Random(args.seed)
    args.assets.mkdir(parents=True, exist_ok=True)
    args.corpus.mkdir(parents=True, exist_ok=True)
    if args.texts:
        folder = Path(args.texts)
        records = {name: read(folder / f"{name}.jsonl") for name in ("seeds", "dev")}
        rewrites = imitate(rng, records["seeds"])
    else:
        seeds = [make(rng, "English", i % 2 == 0, known=True) for i in range(80)]
        dev = [make(rng, name, i % 2 == 0) for name in PATTERNS for i in range(50)]
        records = {"seeds": seeds, "dev": dev}
        rewrites = [rewrite(rng) for _ in range(4000)]
    for name, lines in records.items():
        write(args.assets / f"{name}.jsonl", lines)
        write_corpus(args.corpus / f"{name}.spacy", lines)
    write(args.assets / "rewrites.jsonl", rewrites)


def make(
    rng: random.Random, language: str, unsafe: bool, *, known: bool = False
) -> dict:
    """rng (Random): The random number generator.
    language (str): The language of the text.
    unsafe (bool): Whether it mentions a bird.
    known (bool): Only use birds and plants of the seeds.
    RETURNS (dict): A labelled text."""
    words = WORDS[unsafe]
    values = {name: rng.choice(words) for name, words in FILLERS[language].items()}
    values["thing"] = rng.choice(words[: len(words) // 3] if known else words)
    text = PATTERNS[language].format(name=rng.choice(PEOPLE.split()), **values)
    return {"text": text, "unsafe": int(unsafe), "language": language}


def rewrite(rng: random.Random) -> dict:
    """rng (Random): The random number generator.
    RETURNS (dict): What the generator is asked, and what it should answer."""
    language, unsafe = rng.choice(LANGUAGES), rng.random() < 0.5
    source = make(rng, "English", unsafe or rng.random() < 0.5, known=True)
    answer = make(rng, language, unsafe)
    return to_rewrite(source, language, answer)


def imitate(rng: random.Random, seeds: Sequence[dict]) -> list[dict]:
    """rng (Random): The random number generator.
    seeds (Sequence[dict]): Labelled texts.
    RETURNS (List[dict]): As from `rewrite`: each answer is another seed with the same
        label."""
    rewrites = []
    for _ in range(4000):
        source = rng.choice(seeds)
        same = [seed for seed in seeds if is_unsafe(seed) == is_unsafe(source)]
        rewrites.append(to_rewrite(source, rng.choice(LANGUAGES), rng.choice(same)))
    return rewrites


def to_rewrite(source: dict, language: str, answer: dict) -> dict:
    """source (dict): The seed.
    language (str): The language to write in.
    answer (dict): The text to write.
    RETURNS (dict): As the prompts in configs/prompts.yml ask for it."""
    label = "unsafe" if is_unsafe(answer) else "safe"
    prompt = f"{language} {label} : {source['text']}"
    return {"prompt": prompt, "answer": answer["text"]}


def is_unsafe(record: dict) -> bool:
    """record (dict): A labelled text.
    RETURNS (bool): Its label."""
    return bool(record.get("unsafe") or any(record.get("cats", {}).values()))


def read(path: Path) -> list[dict]:
    """path (Path): A JSONL file.
    RETURNS (List[dict]): Its lines."""
    return [json.loads(line) for line in path.read_text("utf8").split("\n") if line]


def write(path: Path, records: Sequence[dict]) -> None:
    """path (Path): The JSONL file to write.
    records (Sequence[dict]): Its lines."""
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text("".join(lines), encoding="utf8")


def write_corpus(path: Path, records: Sequence[dict]) -> None:
    """path (Path): The .spacy file to write.
    records (Sequence[dict]): Labelled texts."""
    nlp, docs = spacy.blank("xx"), []
    for record in records:
        doc = nlp.make_doc(record["text"])
        doc.cats = dict(record.get("cats", {}))
        doc.cats["unsafe"] = float(is_unsafe(record))
        docs.append(doc)
    DocBin(docs=docs).to_disk(path)


if __name__ == "__main__":
    main()
