"""The self-test of a saved model: the scores of a few texts are saved with it and
compared on loading, which may happen with other software or on other hardware."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ...errors import CheckpointError, Errors
from ..network.decoder import Decoder
from ..network.packing import pack
from ..text.tokenizer import TextTokenizer

# Words, digits, white space, other scripts, composed characters and what looks like a
# control token: this is where tokenizers and their releases differ.
TEXTS = (
    "How to kill a python process?",
    "I hate you!  \n\nCall 0800-1234567 now.",
    "Un été là-bas: e\u0301galite\u0301",
    "日本語 العربية привет 🙂",
    "<|endoftext|>",
)
_MAX_TOKENS = 64  # a model's window may be short

# The largest difference of a probability. In float32 the order of sums differs between
# machines, which makes about 1e-5. Bfloat16 keeps 8 bits: with the full architecture
# the largest difference from float32 was 0.03 over 500 texts. Wrong weights, settings
# or products cause differences of the order of 1.
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.1}


def run_self_test(decoder: Decoder, tokenizer: TextTokenizer) -> dict[str, Any]:
    """Score the texts with the plain forward pass.

    decoder (Decoder): The decoder.
    tokenizer (TextTokenizer): Its tokenizer.
    RETURNS (Dict[str, Any]): The "ids" and "probabilities" of each text, and the
        "dtype" of the computation. JSON-serializable.
    RAISES (CheckpointError): A probability is not finite.
    """
    ids = [
        tokenizer.add_special_tokens(tokenizer.encode(text).ids[:_MAX_TOKENS])
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


def check_self_test(
    saved: Any, decoder: Decoder, tokenizer: TextTokenizer, *, source: str
) -> None:
    """Repeat the self-test and compare its results with the saved ones.

    saved (Any): From `run_self_test`.
    decoder (Decoder), tokenizer (TextTokenizer): The loaded model.
    source (str): Where it came from, for messages.
    RAISES (CheckpointError): The ids differ, or scores differ by more than rounding.
    """
    current = run_self_test(decoder, tokenizer)
    if not isinstance(saved, Mapping) or saved.get("ids") != current["ids"]:
        problem = "the test texts have other tokens"
        raise CheckpointError(Errors.E104.format(source=source, problem=problem))
    low = "bfloat16" in (saved.get("dtype"), current["dtype"])
    tolerance = TOLERANCES[torch.bfloat16 if low else torch.float32]
    actual = np.array(current["probabilities"])
    try:
        expected = np.array(saved.get("probabilities"), dtype=np.float64)
        difference = float(np.abs(expected.reshape(actual.shape) - actual).max())
    except (TypeError, ValueError, OverflowError):  # not as they were saved
        difference = float("nan")
    if not difference <= tolerance:
        problem = f"a probability is off by {difference:.3g}, more than {tolerance:g}"
        raise CheckpointError(Errors.E104.format(source=source, problem=problem))
