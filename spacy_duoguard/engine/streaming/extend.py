"""One forward pass for the next tokens of several streams."""

from collections.abc import Sequence

import torch

from ...errors import Errors, ScoringError
from ..network.inference import Forward
from ..network.kv_cache import CachedAttention, KeyValueCache, pack_extensions
from ..network.logits import are_computed
from .reader import StreamReader


def extend(
    readers: Sequence[StreamReader], forward: Forward, cache: KeyValueCache, share: int
) -> None:
    """Extend each text by some tokens.

    readers (Sequence[StreamReader]): The texts.
    forward (Forward): The forward pass.
    cache (KeyValueCache): That of all readers.
    share (int): The maximum number of tokens for each text.
    RAISES (ScoringError): A logit isn't finite. No text was extended.
    """
    plans = [reader.plan(share) for reader in readers]
    extensions = [extension for plan in plans for extension in plan]
    order = sorted(range(len(extensions)), key=lambda i: -len(extensions[i].ids))
    ordered = [extensions[i] for i in order]
    device = cache.device.type
    with torch.inference_mode(), torch.autocast(device, enabled=False):
        attention = CachedAttention(cache, ordered)
        packed = pack_extensions(ordered, cache.device)
        logits = forward.extend(packed, attention.layers()).cpu()
    by_extension = logits.split([len(extension.rows) for extension in ordered])
    if not are_computed(logits.numpy()).all():
        failed = sum(not are_computed(part.numpy()).all() for part in by_extension)
        total = len(extensions)
        raise ScoringError(Errors.E040.format(count=failed, total=total))
    in_order = dict(zip(order, by_extension, strict=True))
    scores = torch.cat([in_order[i] for i in range(len(extensions))]).sigmoid()
    sizes = [sum(len(extension.rows) for extension in plan) for plan in plans]
    for reader, of_reader in zip(readers, scores.split(sizes), strict=True):
        reader.read(of_reader.numpy())
