"""Continue the training of the demo checkpoint on texts and documents: its third part.

python -m demo.learn_documents TEXTS START OUT
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from demo.checkpoint import write_checkpoint
from demo.documents import Drawer, Item
from demo.sentences import read_taught
from spacy_duoguard import Classifier
from spacy_duoguard.engine.training.trainer import Trainer

SHARES = (1.0, 1.0, 1.0, 3.0)
_WARMUP = 50
_SHARPNESS = 10.0  # of the softmax over the changes in a document
_KEPT = 0.995  # of the averaged weights in each step


def loss_of(
    items: Sequence[Item], logits: Tensor, *, of_spans: float, of_rank: float
) -> Tensor:
    """items (Sequence[Item]): What was learnt from.
    logits (Tensor): Those of each item's text, then of its spans.
    of_spans (float): The weight of a span, where a text alone has 1.
    of_rank (float): The weight of how clearly the score of a document changes most at
        its unsafe sentence.
    RETURNS (Tensor): The loss."""
    targets = torch.from_numpy(np.concatenate([item.targets for item in items]))
    weights = torch.cat(
        [
            torch.full((len(item.targets),), of_spans if item.query.spans else 1.0)
            for item in items
        ]
    )
    weights[targets[:, 0].isnan()] = 0.0
    errors = binary_cross_entropy_with_logits(
        logits, targets.nan_to_num(), reduction="none"
    )
    loss = (errors.sum(1) * weights).sum() / weights.sum()
    start, ranks = 0, []
    for item in items:
        stop = start + len(item.targets)
        if of_rank and item.unsafe is not None:
            unsafe = torch.sigmoid(logits[start + 1 : stop].amax(1))
            changes = torch.diff(unsafe, prepend=unsafe.new_zeros(1))
            index = torch.tensor(item.unsafe)
            ranks.append(cross_entropy(_SHARPNESS * changes, index))
        start = stop
    return loss + of_rank * torch.stack(ranks).mean() if ranks else loss


def learn(
    classifier: Classifier,
    drawer: Drawer,
    *,
    steps: int,
    rate: float,
    n_texts: int,
    n_documents: int,
    of_spans: float,
    of_rank: float,
) -> None:
    """Train a classifier in place. Its weights are averaged over the steps.

    classifier (Classifier): The classifier.
    drawer (Drawer): What to learn from.
    steps (int): The number of steps.
    rate (float): The learning rate, which rises for 50 steps and then falls to 0.
    n_texts (int): The number of texts of a step.
    n_documents (int): The number of documents of a step.
    of_spans (float), of_rank (float): As for `loss_of`."""
    trainer = Trainer(classifier, None)
    parameters = list(classifier.decoder.parameters())
    optimizer = torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.98))
    average = [parameter.detach().clone() for parameter in parameters]
    sums = 0.0
    for step in range(steps):
        items = [drawer.draw_text() for _ in range(n_texts)]
        items += [drawer.draw_document() for _ in range(n_documents)]
        logits, backprop = trainer.begin([item.query for item in items])
        outputs = torch.from_numpy(logits).requires_grad_()
        with torch.enable_grad():
            loss = loss_of(items, outputs, of_spans=of_spans, of_rank=of_rank)
        loss.backward()
        backprop(outputs.grad.numpy())
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / _WARMUP, 1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
        kept = min(_KEPT, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, parameter in zip(average, parameters, strict=True):
                mean.lerp_(parameter, 1 - kept)
        sums += float(loss.detach())
        if (step + 1) % 100 == 0:
            print(f"{step + 1:>6} {sums / 100:8.4f}", flush=True)
            sums = 0.0
    with torch.no_grad():
        for mean, parameter in zip(average, parameters, strict=True):
            parameter.copy_(mean)


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("texts", type=Path, help="file from demo.sentences")
    add("start", help="checkpoint to continue from")
    add("out", type=Path, help="output folder")
    add("--steps", type=int, default=600, help="number of steps")
    add("--rate", type=float, default=0.001, help="learning rate")
    add("--alone", type=int, default=48, help="texts of a step")
    add("--documents", type=int, default=12, help="documents of a step")
    add("--of-spans", type=float, default=0.3, help="weight of a span")
    add("--of-rank", type=float, default=0.5, help="weight of the order in documents")
    add("--disguised", type=float, default=0.1, help="share of disguised texts")
    add("--shares", type=float, nargs=4, default=SHARES, help="of the kinds of texts")
    add("--seed", type=int, default=0, help="random seed")
    args = parser.parse_args(arguments)
    torch.manual_seed(args.seed)
    classifier = Classifier.from_pretrained(
        args.start, precision="float32", device="cpu", max_batch_tokens=32768
    )
    drawer = Drawer(
        read_taught(args.texts),
        shares=args.shares,
        disguised=args.disguised,
        seed=args.seed,
    )
    learn(
        classifier,
        drawer,
        steps=args.steps,
        rate=args.rate,
        n_texts=args.alone,
        n_documents=args.documents,
        of_spans=args.of_spans,
        of_rank=args.of_rank,
    )
    write_checkpoint(
        classifier.decoder, classifier.tokenizer.data, args.out, dtype=torch.float32
    )


if __name__ == "__main__":
    main()
