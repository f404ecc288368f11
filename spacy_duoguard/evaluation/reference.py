"""The plain path: `transformers`' own classes over our validated parts.

The fast path is compared with it, in the tests and on a user's machine. Neither
`from_pretrained` nor any code of a repository runs: the class is built from our
configuration and filled with our tensors.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..engine.checkpoint.weights import stored_tensors
from ..engine.classifier import Classifier


def reference_model(classifier: Classifier, *, dtype: torch.dtype | None = None) -> Any:
    """Build the model of `transformers` with the weights of a classifier.

    classifier (Classifier): Whose architecture and weights to take.
    dtype (Optional[torch.dtype]): What it is to compute with, None for the
        classifier's.
    RETURNS (transformers.PreTrainedModel): In evaluation mode, on the CPU.
    """
    import transformers

    config = classifier.decoder.config
    data = config.to_dict(classifier.labels)
    name = data.pop("architectures")[0]
    config_class = getattr(
        transformers, name.replace("ForSequenceClassification", "Config")
    )
    settings = config_class(**data)
    with torch.device("meta"):
        model = getattr(transformers, name)(settings)
    dtype = dtype or classifier.decoder.dtype
    tensors = {
        key: tensor.to("cpu", dtype)
        for key, tensor in stored_tensors(classifier.decoder).items()
    }
    model.load_state_dict(tensors, strict=True, assign=True)
    _place_buffers(model, settings)
    return model.eval()


def _place_buffers(model: Any, settings: Any) -> None:
    """The rotary frequencies are no part of the state: make them anew, off "meta"."""
    rotary = type(model.model.rotary_emb)
    model.model.rotary_emb = rotary(config=settings)


def reference_scores(
    classifier: Classifier,
    texts: Sequence[str],
    *,
    dtype: torch.dtype | None = None,
) -> np.ndarray:
    """Score texts one at a time with `transformers`: no padding, cut at one window.

    classifier (Classifier): The classifier to compare with.
    texts (Sequence[str]): Texts with at least one piece each.
    dtype (Optional[torch.dtype]): What to compute with, None for the classifier's.
    RETURNS (ndarray): Probabilities, (n_texts, n_labels), float32.
    """
    return score_with(reference_model(classifier, dtype=dtype), classifier, texts)


def score_with(model: Any, classifier: Classifier, texts: Sequence[str]) -> np.ndarray:
    """As `reference_scores`, with a model that is there.

    model (transformers.PreTrainedModel): From `reference_model`, on any device.
    classifier (Classifier): Whose tokenizer and window to take.
    texts (Sequence[str]): Texts with at least one piece each.
    RETURNS (ndarray): Probabilities, (n_texts, n_labels), float32.
    """
    tokenizer = classifier.tokenizer
    room = classifier.settings.window - tokenizer.n_special
    device = next(model.parameters()).device
    rows = []
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer.add_special_tokens(tokenizer.encode(text).ids[:room])
            input_ids = torch.from_numpy(ids.astype(np.int64))[None].to(device)
            logits = model(input_ids=input_ids, use_cache=False).logits
            rows.append(logits[0].float().sigmoid().cpu().numpy())
    return np.stack(rows)
