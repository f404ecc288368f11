"""Continue the training of the demo checkpoint on texts with noise.

python -m demo.learn_noise FOLDER START OUT
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from demo.checkpoint import mix_weights, write_checkpoint
from demo.data import HELD_OUT, RTP_LX, TRAINED_ON, read_rows
from demo.noised import NoisedTexts, Pair, Prompts
from demo.sentences import read_taught
from demo.taught_draws import TRUST, TaughtTexts
from spacy_duoguard import Classifier
from spacy_duoguard.engine.network.packing import pack
from spacy_duoguard.engine.network.trainable import prepare_training

# The held-out rows, and those that settings were chosen on.
WITHOUT = [HELD_OUT, 1]
_WARMUP = 100
_KEPT = 0.998  # of the averaged weights in each step
_MOST_TOKENS = 512
_STATE = "state.pt"  # in the output folder


class _Item(NamedTuple):
    """What to learn from a pair."""

    ids: np.ndarray  # of the changed text
    target: np.ndarray  # (12,) float32, what the plain text scored
    is_changed: bool


class NoiseTraining:
    """Trains a classifier to score a changed text as another one, such as its start,
    scores the plain text."""

    def __init__(
        self,
        classifier: Classifier,
        teacher: Classifier,
        texts: NoisedTexts,
        *,
        rate: float,
        steps: int,
        n_plain: int,
        n_changed: int,
        of_plain: float = 1.0,
        last: float = 0.0,
        taught: TaughtTexts | None = None,
        n_taught: int = 0,
        n_documents: int = 0,
        prompts: Prompts | None = None,
    ) -> None:
        """classifier (Classifier): The classifier. It's changed.
        teacher (Classifier): What it was before.
        texts (NoisedTexts): What to learn from.
        rate (float): The learning rate. It rises at first and then falls.
        steps (int): The number of steps.
        n_plain (int), n_changed (int): The numbers of texts of a step.
        of_plain (float): The weight of a plain text, where a changed one has 1.
        last (float): The share of the learning rate that is left at the end.
        taught (Optional[TaughtTexts]): Labelled texts.
        n_taught (int): How many of the plain texts of a step are such.
        n_documents (int): How many documents of them a step has besides. They have
            what the teacher scores.
        prompts (Optional[Prompts]): More plain texts, which have a teacher of their
            kind."""
        self.classifier, self.teacher, self.texts = classifier, teacher, texts
        self.rate, self.steps = rate, steps
        self.n_plain, self.n_changed = n_plain, n_changed
        self.of_plain, self.last = of_plain, last
        self.taught, self.n_taught = taught, n_taught
        self.n_documents = n_documents
        self.prompts = prompts
        prepare_training(classifier.decoder, None)
        self.parameters = list(classifier.decoder.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=rate, betas=(0.9, 0.98))
        self.average = [p.detach().clone() for p in self.parameters]
        self.step = 0

    def run(self, seconds: float) -> None:
        """seconds (float): When to stop."""
        stop, sums, n = time.monotonic() + seconds, np.zeros(2), 0
        while self.step < self.steps and time.monotonic() < stop:
            sums += self._learn()
            n += 1
            if self.step % 100 == 0:
                print(f"{self.step:>6}", *(sums / n).round(4), flush=True)
                sums, n = np.zeros(2), 0

    def _learn(self) -> np.ndarray:
        """RETURNS (ndarray): The losses of the step, (2,)."""
        items = self._draw()
        logits = self.classifier.decoder(pack([item.ids for item in items]))
        losses = self._losses(logits, items)
        (self.of_plain * losses[0] + losses[1]).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        fallen = (1 - self.last) * self.step / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min((self.step + 1) / _WARMUP, 1 - fallen)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        kept = min(_KEPT, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mean, parameter in zip(self.average, self.parameters, strict=True):
                mean.lerp_(parameter, 1 - kept)
        return losses.detach().numpy()

    def _draw(self) -> list[_Item]:
        """The texts of a step, the longest first."""
        n_plain = self.n_plain - self.n_taught
        pairs = self.texts.draw(self.step, n_plain, self.n_changed)
        if self.taught is not None and self.n_documents:
            documents = self.taught.draw_documents(self.step, self.n_documents)
            pairs += [Pair(text, text) for text in documents]
        targets = list(self.teacher.score([pair.text for pair in pairs]))
        if self.prompts is not None:
            drawn_prompts, scores = self.prompts.draw(self.step)
            pairs += drawn_prompts
            targets += list(scores)
        if self.n_taught and self.taught is not None:
            drawn = self.taught.draw(self.step, self.n_taught)
            scores = self.teacher.score([taught.text for taught in drawn])
            pairs += [Pair(taught.text, taught.text) for taught in drawn]
            labels = np.stack([taught.target for taught in drawn])
            targets += list(TRUST * labels + (1 - TRUST) * scores)
        encode = self.classifier.tokenizer.encode
        items = []
        for pair, target in zip(pairs, targets, strict=True):
            ids = np.asarray(encode(pair.changed).ids[:_MOST_TOKENS])
            if len(ids):
                items.append(_Item(ids, target, pair.changed != pair.text))
        return sorted(items, key=lambda item: -len(item.ids))

    def _losses(self, logits: Tensor, items: Sequence[_Item]) -> Tensor:
        """RETURNS (Tensor): Of the plain texts and of the changed ones, (2,)."""
        targets = torch.from_numpy(np.stack([item.target for item in items]))
        changed = torch.tensor([item.is_changed for item in items])
        errors = binary_cross_entropy_with_logits(
            logits, targets, reduction="none"
        ).sum(1)
        return torch.stack([errors[~changed].sum(), errors[changed].sum()]) / len(items)

    def finish(self) -> None:
        """Give the classifier the averaged weights."""
        with torch.no_grad():
            for mean, parameter in zip(self.average, self.parameters, strict=True):
                parameter.copy_(mean)

    def save(self, path: Path) -> None:
        """path (Path): The file for what the training needs to go on."""
        state = {
            "parameters": [p.detach() for p in self.parameters],
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        torch.save(state, path)

    def load(self, path: Path) -> None:
        """path (Path): The file that `save` wrote."""
        state = torch.load(path)
        with torch.no_grad():
            for parameter, value in zip(
                self.parameters, state["parameters"], strict=True
            ):
                parameter.copy_(value)
        self.average, self.step = state["average"], state["step"]
        self.optimizer.load_state_dict(state["optimizer"])


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = _make_parser()
    args = parser.parse_args(arguments)
    if bool(args.taught) != bool(args.n_taught or args.documents):
        parser.error("--taught needs --n-taught or --documents, which need it")
    if bool(args.prompts) != bool(args.of_prompts):
        parser.error("--prompts and --of-prompts need each other")
    if args.n_taught > args.plain:
        parser.error("--n-taught is the number of some of the --plain texts")
    torch.manual_seed(args.seed)
    training = _make_training(args)
    state = args.out / _STATE
    if state.exists():
        training.load(state)
    training.run(args.seconds)
    args.out.mkdir(parents=True, exist_ok=True)
    training.save(state)
    training.finish()
    of = training.classifier
    write_checkpoint(of.decoder, of.tokenizer.data, args.out, dtype=torch.float32)


def _make_training(args: argparse.Namespace) -> NoiseTraining:
    classifier, teacher = _load(args.start), _load(args.teacher or args.start)
    if args.other:
        mix_weights(classifier.decoder, _load(args.other).decoder, 0.5)
    taught = None
    if args.taught:
        taught = TaughtTexts(read_taught(args.taught), seed=args.seed)
    return NoiseTraining(
        classifier,
        teacher,
        _read_texts(args, TRAINED_ON, seed=args.seed),
        rate=args.rate,
        steps=args.steps,
        n_plain=args.plain,
        n_changed=args.changed,
        of_plain=args.of_plain,
        last=args.last,
        taught=taught,
        n_taught=args.n_taught,
        n_documents=args.documents,
        prompts=_make_prompts(args) if args.prompts else None,
    )


def _make_prompts(args: argparse.Namespace) -> Prompts:
    texts = _read_texts(args, [RTP_LX], seed=args.seed + 1000)
    return Prompts(texts, _load(args.of_prompts), args.prompts)


def _load(name: str) -> Classifier:
    return Classifier.from_pretrained(name, precision="float32", device="cpu")


def _read_texts(
    args: argparse.Namespace, files: Sequence[str], *, seed: int
) -> NoisedTexts:
    rows = [
        row
        for file in files
        for row in read_rows(args.data, file)
        if row.part not in args.without
    ]
    return NoisedTexts(
        rows,
        seed=seed,
        mixed=args.mixed,
        listed=args.listed,
        cropped=args.cropped,
    )


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("data", type=Path, help="folder with the evaluation files")
    add("start", help="checkpoint to continue from")
    add("out", type=Path, help="output folder; an interrupted run there goes on")
    add("--teacher", help="checkpoint that scores the plain texts; START by default")
    add("--without", type=int, nargs="*", default=WITHOUT, help="parts to leave out")
    add("--steps", type=int, default=1600, help="number of steps")
    add("--rate", type=float, default=0.0015, help="learning rate")
    add("--last", type=float, default=0.0, help="share of it that is left at the end")
    add("--plain", type=int, default=16, help="plain texts of a step")
    add("--changed", type=int, default=40, help="changed texts of a step")
    add("--of-plain", type=float, default=2.0, help="weight of a plain text")
    add("--mixed", type=float, default=0.7, help="share of mixtures")
    add("--listed", type=float, default=0.3, help="share of the suite's disguises")
    add("--cropped", type=float, default=0.0, help="share of plain texts to shorten")
    add("--other", help="checkpoint: the mean of it and START is what to continue from")
    add("--taught", type=Path, help=".jsonl file of demo.sentences")
    add("--n-taught", type=int, default=0, help="texts of it among the plain ones")
    add("--documents", type=int, default=0, help="documents of a step, of its texts")
    add("--prompts", type=int, default=0, help="plain RTP-LX texts of a step, besides")
    add("--of-prompts", help="checkpoint that scores these")
    add("--seconds", type=float, default=float("inf"), help="when to interrupt it")
    add("--seed", type=int, default=0, help="random seed")
    return parser


if __name__ == "__main__":
    main()
