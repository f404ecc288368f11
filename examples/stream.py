"""Stop an answer while it is being written. A stand-in for a language model prints
words with a delay; the stream reads along and stops it at the first flag. Then the
sentences of one document, scored alone and in context.

python examples/stream.py [--model NAME_OR_FOLDER] [--threshold 0.5] [--delay 0.05]
"""

import argparse
import time
from collections.abc import Iterator

import spacy

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.streaming.stream import Stream

ANSWER = (
    "You asked how the argument in the thread began. Somebody wrote that the new lane "
    "is too narrow. Another answered: shut up or I will find you and kill you, you "
    "stupid bitch. After that the thread was closed, and the moderators wrote to both."
)


def generate(text: str, delay: float) -> Iterator[str]:
    """text (str): What the stand-in writes. delay (float): Seconds for each word.
    YIELDS (str): Its words."""
    for i, word in enumerate(text.split(" ")):
        time.sleep(delay)
        yield word if i == 0 else f" {word}"


def stop_at_first_flag(classifier: Classifier, threshold: float, delay: float) -> None:
    """Print the answer up to where it is stopped."""
    with Stream(classifier, threshold=threshold) as stream:
        for word in generate(ANSWER, delay):
            scores = stream.push(word)
            print(word, end="", flush=True)
            if scores.flags:
                break
        else:
            scores = stream.close()
    for flag in scores.flags:
        print(
            f"\n[stopped: {flag.category} {flag.probability:.2f} at character "
            f"{flag.offset} of {len(ANSWER)}]"
        )
    if not scores.flags:
        print(f"\n[complete: unsafe {scores.unsafe:.2f}]")


def compare_modes(model: str) -> None:
    """Print each sentence's score alone, in context, and its change in context."""
    found = {}
    for context in ("isolated", "document"):
        nlp = spacy.blank("en")
        nlp.add_pipe("sentencizer")
        config = {"sents": True, "span_context": context, "model": {"name": model}}
        nlp.add_pipe("duoguard", config=config)
        found[context] = list(nlp(ANSWER).sents)
    print("\nalone  in context  change  sentence")
    for alone, inside in zip(found["isolated"], found["document"], strict=True):
        print(
            f"{alone._.duoguard_cats['unsafe']:5.2f}  "
            f"{inside._.duoguard_cats['unsafe']:10.2f}  "
            f"{inside._.duoguard_delta['unsafe']:+6.2f}  {inside.text[:60]}"
        )


def main() -> None:
    """Read the arguments, run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo", help="hub name or folder")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds a word")
    args = parser.parse_args()
    classifier = Classifier.from_pretrained(args.model)
    stop_at_first_flag(classifier, args.threshold, args.delay)
    compare_modes(args.model)


if __name__ == "__main__":
    main()
