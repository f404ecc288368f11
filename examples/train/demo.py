"""Train the checkpoint that the package carries for trying it out and for its tests.

    python examples/train/demo.py --data FOLDER

FOLDER holds the evaluation files of DuoGuard's authors, by language (En, Fr, Es). All
that is learnt comes from `openai.json` and `rtp_lx_prompt.json` with every fifth row
left out; needs scikit-learn. The same seed and number of threads on the same machine
give the same files.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from demo_card import evaluate, write_card
from demo_data import (
    TRAINED_ON,
    Row,
    make_mixtures,
    make_views,
    read_rows,
    train_tokenizer,
)
from demo_embedding import count_embedding
from demo_teacher import Teacher
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from spacy_duoguard.engine.bundle import CONFIG, TOKENIZER
from spacy_duoguard.engine.checkpoint import WEIGHTS, write_weights
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.config import DecoderConfig
from spacy_duoguard.engine.decoder import Decoder
from spacy_duoguard.engine.packing import pack
from spacy_duoguard.engine.windows import TextTokenizer
from spacy_duoguard.taxonomy import CATEGORIES

PACKAGED = Path(__file__).parents[2] / "spacy_duoguard" / "demo"


@dataclass(frozen=True)
class Recipe:
    """How to train. Chosen on rows that are neither held out nor trained on."""

    width: int = 128
    inner: int = 256
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    window: int = 512
    epochs: int = 6
    batch: int = 32
    rate: float = 2e-3
    warmup: int = 100  # steps
    decay: float = 0.1  # of the weights
    average: float = 0.998  # of the weights over the steps
    embedding_scale: float = 0.05
    crops: int = 8  # of each long text, to choose from
    crop: float = 0.5  # chance that a text is replaced by one of its crops
    mixtures: int = 60_000
    mixtures_per_row: int = 2  # in each epoch
    drop_piece: float = 0.25  # not from mixtures
    drop_input: float = 0.3
    drop_layer: float = 0.1
    drop_output: float = 0.3
    prefix: float = 0.5  # weight of the loss on prefixes, beside that on whole views
    trust: float = 0.3  # weight of the gold labels, beside the teacher's
    trust_safe: float = 0.7  # the same for safe texts, whose every part is safe


@dataclass(frozen=True)
class Lesson:
    """What the decoder is to learn of a view."""

    ids: np.ndarray  # (length,) int32
    target: np.ndarray  # (13,) float32, probabilities of the categories and `unsafe`
    known: bool = True  # are the twelve to be learnt, or only `unsafe`?
    prefix: float = 0.0  # summed weight of the prefixes, where that of the end is 1


def main() -> None:
    """Train, write the folder, and measure what was written."""
    parser = argparse.ArgumentParser(description="Train the demo checkpoint.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    recipe = Recipe()
    started = time.process_time()
    rows = [row for file in TRAINED_ON for row in read_rows(args.data, file)]
    training = [row for row in rows if not row.held_out]
    tokenizer = train_tokenizer(row.text for row in training)
    teacher = Teacher(training)
    decoder = train(training, tokenizer, teacher, recipe, seed=args.seed)
    minutes = (time.process_time() - started) / 60
    write_checkpoint(decoder, tokenizer, args.out)
    classifier = Classifier.from_pretrained(str(args.out), precision="float32")
    figures = evaluate(args.data, classifier, teacher)
    positives = np.sum([row.gold for row in training], axis=0).astype(int).tolist()
    write_card(
        args.out, classifier, positives, figures, minutes=minutes, seed=args.seed
    )


def train(
    rows: Sequence[Row],
    tokenizer: Tokenizer,
    teacher: Teacher,
    recipe: Recipe,
    *,
    seed: int,
) -> Decoder:
    """Train a decoder from scratch.

    rows (Sequence[Row]): The training rows.
    tokenizer (Tokenizer): From `train_tokenizer`.
    teacher (Teacher): Fitted on the same rows.
    recipe (Recipe): How.
    seed (int): Of the choice of texts; that of the weights and dropout is torch's.
    RETURNS (Decoder): The average over the steps, rounded to bfloat16, in float32.
    """
    rng = np.random.default_rng(seed)
    backend = TextTokenizer(tokenizer.to_str(), source="the new tokenizer")
    decoder = new_decoder(tokenizer.get_vocab_size(), recipe)
    vectors = count_embedding(
        rows,
        [backend.encode(row.text).ids for row in rows],
        n_pieces=tokenizer.get_vocab_size(with_added_tokens=False),
        size=recipe.width,
        scale=recipe.embedding_scale,
        seed=seed,
    )
    decoder.embedding.weight.data[: len(vectors)] = torch.from_numpy(vectors)
    add_dropout(decoder, recipe)
    by_row = row_lessons(rows, backend, teacher, recipe, rng)
    mixtures = mixture_lessons(rows, backend, teacher, recipe, rng)
    averaged = run_epochs(decoder, by_row, mixtures, recipe, rng)
    result = new_decoder(tokenizer.get_vocab_size(), recipe)
    result.load_state_dict(averaged.state_dict())
    return result.to(torch.bfloat16).float().eval()


def row_lessons(
    rows: Sequence[Row],
    tokenizer: TextTokenizer,
    teacher: Teacher,
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[list[Lesson]]:
    """Gold labels mixed with soft ones: a part of an unsafe text may well be safe, and
    a teacher that has not seen the text can tell.

    RETURNS (List[List[Lesson]]): For each row the whole text, then its crops.
    """
    views = make_views(rows, recipe.crops, rng)
    lessons: list[list[Lesson]] = [[] for _ in rows]
    for view, soft in zip(views, teacher.label_unseen(views), strict=True):
        row = rows[view.row]
        trust = recipe.trust if row.unsafe else recipe.trust_safe
        gold = np.array([*row.gold, row.unsafe], np.float32)
        target = trust * gold + (1 - trust) * soft
        ids = tokenizer.encode(view.text).ids
        lessons[view.row].append(Lesson(ids, target, row.known, recipe.prefix))
    return lessons


def mixture_lessons(
    rows: Sequence[Row],
    tokenizer: TextTokenizer,
    teacher: Teacher,
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[Lesson]:
    """Soft labels alone: what the teacher makes of texts without an author."""
    texts = make_mixtures(rows, recipe.mixtures, rng)
    labels = teacher.label(texts)
    return [
        Lesson(tokenizer.encode(text).ids, target)
        for text, target in zip(texts, labels, strict=True)
    ]


def new_decoder(vocab_size: int, recipe: Recipe) -> Decoder:
    """vocab_size (int): Pieces and added tokens. recipe (Recipe): Sizes.
    RETURNS (Decoder): With random weights."""
    config = DecoderConfig(
        model_type="qwen2",
        num_labels=len(CATEGORIES),
        vocab_size=vocab_size,
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        head_dim=recipe.width // recipe.heads,
        rms_norm_eps=1e-6,
        max_position_embeddings=recipe.window,
        rope_theta=10000.0,
        qkv_bias=True,
        pad_token_id=vocab_size - 1,
    )
    decoder = Decoder(config)
    into_stream = 0.02 / math.sqrt(2 * recipe.layers)
    for name, parameter in decoder.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.dim() > 1:
            residual = "o_proj" in name or "down_proj" in name
            nn.init.normal_(parameter, std=into_stream if residual else 0.02)
    return decoder


def add_dropout(decoder: Decoder, recipe: Recipe) -> None:
    """Drop activations while training. The decoder has no dropout of its own."""

    def drop(module: nn.Module, rate: float) -> None:
        module.register_forward_hook(
            lambda module, _, output: F.dropout(output, rate, module.training)
        )

    drop(decoder.embedding, recipe.drop_input)
    drop(decoder.norm, recipe.drop_output)
    for layer in decoder.layers:
        drop(layer.attention, recipe.drop_layer)
        drop(layer.mlp, recipe.drop_layer)


def run_epochs(
    decoder: Decoder,
    by_row: Sequence[Sequence[Lesson]],
    mixtures: Sequence[Lesson],
    recipe: Recipe,
    rng: np.random.Generator,
) -> nn.Module:
    """decoder (Decoder): Trained in place.
    by_row (Sequence[Sequence[Lesson]]): From `row_lessons`. One of each row is taken
        in each epoch.
    mixtures (Sequence[Lesson]): Some of them are added in each epoch.
    recipe (Recipe): How.
    rng (Generator): Chooses and shuffles.
    RETURNS (Module): The average of the decoder over the steps."""
    averaged = AveragedModel(decoder, avg_fn=_averaging(recipe.average))
    optimizer = _optimizer(decoder, recipe)
    n_mixtures = recipe.mixtures_per_row * len(by_row)
    total = recipe.epochs * math.ceil((len(by_row) + n_mixtures) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, total, recipe.warmup)
    )
    decoder.train()
    for epoch in range(recipe.epochs):
        losses = []
        lessons = [_choose(own, recipe, rng) for own in by_row]
        chosen = rng.choice(len(mixtures), n_mixtures, replace=False)
        lessons += [mixtures[i] for i in chosen]
        for batch in _batches(lessons, recipe.batch, rng):
            loss = lessons_loss(decoder, batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(decoder)
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}", flush=True)
    return averaged.module


def _optimizer(decoder: Decoder, recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay is for matrices: biases and norms are not shrunk."""
    matrices = [p for p in decoder.parameters() if p.dim() > 1]
    vectors = [p for p in decoder.parameters() if p.dim() == 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay
    )


def _averaging(decay: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The first steps count for less: the average must not remember the start."""

    def average(mean: Tensor, new: Tensor, step: Tensor) -> Tensor:
        return torch.lerp(mean, new, max(1 - decay, 9 / (10 + int(step))))

    return average


def _rate(step: int, total: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to a twentieth."""
    cosine = (1 + math.cos(math.pi * min(1.0, step / total))) / 2
    return min(1.0, (step + 1) / warmup) * (0.95 * cosine + 0.05)


def _batches(
    lessons: Sequence[Lesson], size: int, rng: np.random.Generator
) -> Iterator[list[Lesson]]:
    """Cut lessons into batches of about the same length, in random order."""
    order = rng.permutation(len(lessons))
    pool = 20 * size
    batches = []
    for first in range(0, len(order), pool):
        group = [lessons[i] for i in order[first : first + pool]]
        group.sort(key=lambda lesson: -len(lesson.ids))
        batches += [group[start : start + size] for start in range(0, len(group), size)]
    for i in rng.permutation(len(batches)):
        yield batches[i]


def _choose(
    lessons: Sequence[Lesson], recipe: Recipe, rng: np.random.Generator
) -> Lesson:
    """A row's text or one of its crops, at most a window, with pieces left out."""
    chosen = lessons[0]
    if len(lessons) > 1 and rng.random() < recipe.crop:
        chosen = lessons[rng.integers(1, len(lessons))]
    ids = chosen.ids
    if len(ids) > recipe.window:
        front = rng.random() < 0.5
        ids = ids[: recipe.window] if front else ids[-recipe.window :]
    kept = ids[rng.random(len(ids)) >= recipe.drop_piece]
    return replace(chosen, ids=kept if len(kept) else ids)


def lessons_loss(decoder: Decoder, lessons: Sequence[Lesson]) -> Tensor:
    """Cross-entropy of the categories and of their maximum, at the end of each view
    and, with weights that grow along it, at every piece before.

    decoder (Decoder): The decoder.
    lessons (Sequence[Lesson]): Longest first.
    RETURNS (Tensor): The mean over the lessons.
    """
    batch = pack([lesson.ids for lesson in lessons])
    logits = decoder.score(decoder.norm(decoder.hidden(batch)))
    lengths = torch.tensor([len(lesson.ids) for lesson in lessons])
    owner = torch.repeat_interleave(torch.arange(len(lessons)), lengths)
    length = lengths[owner].float()
    # Of 0, 1, … n - 1 the sum is n (n - 1) / 2.
    prefix = torch.tensor([lesson.prefix for lesson in lessons])[owner]
    weights = 2 * prefix * batch.positions / (length * (length - 1)).clamp(min=1)
    weights[batch.last_rows] += 1.0
    target = torch.from_numpy(np.stack([lesson.target for lesson in lessons]))[owner]
    known = torch.tensor([float(lesson.known) for lesson in lessons])[owner]
    cross_entropy = F.binary_cross_entropy_with_logits
    each = cross_entropy(logits, target[:, :-1], reduction="none").sum(dim=1)
    any_of = cross_entropy(logits.amax(dim=1), target[:, -1], reduction="none")
    # Six categories have positives: their sum over six is about one decision's loss.
    losses = known * each / 6 + any_of
    return (weights * losses).sum() / len(lessons)


def write_checkpoint(decoder: Decoder, tokenizer: Tokenizer, folder: Path) -> None:
    """decoder (Decoder): Its weights are already rounded to bfloat16.
    tokenizer (Tokenizer): Its own.
    folder (Path): Where `config.json`, `model.safetensors` and `tokenizer.json` go,
        in the form that `transformers` reads too."""
    folder.mkdir(parents=True, exist_ok=True)
    rounded = Decoder(decoder.config)
    rounded.load_state_dict(decoder.state_dict())
    write_weights(rounded.to(torch.bfloat16), folder / WEIGHTS)
    config = decoder.config.to_dict(CATEGORIES)
    config |= {"torch_dtype": "bfloat16", "use_sliding_window": False}
    text = json.dumps(config, indent=2) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf8")
    (folder / TOKENIZER).write_text(tokenizer.to_str() + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
