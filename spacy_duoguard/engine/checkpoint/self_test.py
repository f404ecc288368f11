"""A few fixed texts whose scores are saved with a model and computed again when it is
loaded: by other software and on other hardware, the same numbers?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ...errors import CheckpointError, Errors
from ..network.decoder import Decoder
from ..network.packing import pack
from ..text.tokenizer import TextTokenizer

# Words, digits, white space, other scripts, a composed character, what looks like a
# control token: what tokenizers and their releases differ in.
TEXTS = (
    "How to kill a python process?",
    "I hate you!  \n\nCall 0800-1234567 now.",
    "Un été là-bas: e\u0301galite\u0301",
    "日本語 العربية привет 🙂",
    "<|endoftext|>",
)
# A window of the model may be short.
_LENGTH = 64

# The largest difference of a probability. Float32 differs between machines by the order
# of its sums, some 1e-5. Bfloat16 keeps 8 bits: on the full architecture the largest
# difference from float32 was 0.03 over 500 texts. Weights, settings or products that
# are wrong give differences of the order of 1.
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.1}


def sing(decoder: Decoder, tokenizer: TextTokenizer) -> dict[str, Any]:
    """Score the texts, plainly: without weights laid out for the hardware.

    decoder (Decoder): The decoder.
    tokenizer (TextTokenizer): Its tokenizer.
    RETURNS (Dict[str, Any]): For each text its "ids" and its "probabilities", and the
        "dtype" computed with; JSON-serializable.
    RAISES (CheckpointError): A probability is not finite.
    """
    ids = [
        tokenizer.add_special_tokens(tokenizer.encode(text).ids[:_LENGTH])
        for text in TEXTS
    ]
    with torch.inference_mode():
        logits = decoder(pack(ids, device=decoder.device))
    probabilities = logits.sigmoid().cpu().numpy()
    if not np.isfinite(probabilities).all():
        raise CheckpointError(Errors.E105)
    return {
        "ids": [row.tolist() for row in ids],
        "probabilities": [row.tolist() for row in probabilities],
        "dtype": str(decoder.dtype).removeprefix("torch."),
    }


def check_canary(
    saved: Any, decoder: Decoder, tokenizer: TextTokenizer, *, source: str
) -> None:
    """Compare the scores with those that were saved.

    saved (Any): From `sing`.
    decoder (Decoder), tokenizer (TextTokenizer): As they were loaded.
    source (str): Where they came from, for messages.
    RAISES (CheckpointError): Other ids, or scores that differ by more than rounding.
    """
    now = sing(decoder, tokenizer)
    if not isinstance(saved, Mapping) or saved.get("ids") != now["ids"]:
        problem = "its texts are cut into other tokens"
        raise CheckpointError(Errors.E104.format(source=source, problem=problem))
    low = "bfloat16" in (saved.get("dtype"), now["dtype"])
    tolerance = TOLERANCES[torch.bfloat16 if low else torch.float32]
    after = np.array(now["probabilities"])
    try:
        before = np.array(saved.get("probabilities"), dtype=np.float64)
        off = float(np.abs(before.reshape(after.shape) - after).max())
    except (TypeError, ValueError):  # no numbers, or not as many
        off = float("nan")
    if not off <= tolerance:
        problem = f"a probability is off by {off:.3g}, more than {tolerance:g}"
        raise CheckpointError(Errors.E104.format(source=source, problem=problem))
