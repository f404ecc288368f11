"""Stop an answer while it is being written. The stream reads the words of a simulated
language model and stops it at the first flag. Then compare the scores of sentences
alone and in context.

python examples/stream.py [--model NAME_OR_FOLDER] [--threshold 0.5] [--delay 0.05]
"""

import argparse
import time
from collections.abc import Iterator

import spacy

from spacy_duoguard import Classifier, Stream

ANSWER = (
    "You asked how the argument in the thread began. Somebody wrote that the new lane "
    "is too narrow. Another answered: shut up or I will find you and kill you, you "
    "stupid bitch. After that the thread was closed, and the moderators wrote to both."
)


def generate(text: str, delay: float) -> Iterator[str]:
    """Simulate a language model.

    text (str): The text it writes.
    delay (float): Seconds per word.
    YIELDS (str): The words of the text.
    """
    for i, word in enumerate(text.split(" ")):
        time.sleep(delay)
        yield word if i == 0 else f" {word}"


def stop_at_first_flag(classifier: Classifier, threshold: float, delay: float) -> None:
    """Print the answer until it is stopped."""
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
    """Print each sentence's score alone and in context, and its change in context."""
    sentences = {}
    for context in ("isolated", "document"):
        nlp = spacy.blank("en")
        nlp.add_pipe("sentencizer")
        config = {"sents": True, "span_context": context, "model": {"name": model}}
        nlp.add_pipe("duoguard", config=config)
        sentences[context] = list(nlp(ANSWER).sents)
    print("\nalone  in context  change  sentence")
    for alone, inside in zip(*sentences.values(), strict=True):
        print(
            f"{alone._.duoguard_cats['unsafe']:5.2f}  "
            f"{inside._.duoguard_cats['unsafe']:10.2f}  "
            f"{inside._.duoguard_delta['unsafe']:+6.2f}  {inside.text[:60]}"
        )


def main() -> None:
    """Read the arguments and run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo", help="hub name or folder")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds per word")
    args = parser.parse_args()
    classifier = Classifier.from_pretrained(args.model)
    stop_at_first_flag(classifier, args.threshold, args.delay)
    compare_modes(args.model)


if __name__ == "__main__":
    main()
