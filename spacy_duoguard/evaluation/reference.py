"""The reference implementation: the model class of `transformers`.

The engine is compared with it in the tests and by `verify`. It is built from our
validated config and tensors, so neither `from_pretrained` nor code from a repository
runs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..engine.checkpoint.weights import stored_tensors
from ..engine.classifier import Classifier
from ..errors import Errors, SettingsError


def reference_model(classifier: Classifier, *, dtype: torch.dtype | None = None) -> Any:
    """Build a model of `transformers` with the architecture and weights of a
    classifier.

    classifier (Classifier): The classifier.
    dtype (Optional[torch.dtype]): The dtype to compute in; None for the classifier's.
    RETURNS (transformers.PreTrainedModel): In evaluation mode, on the CPU.
    RAISES (SettingsError): The class of `transformers` can't be imported.
    """
    config = classifier.decoder.config
    data = config.to_dict(classifier.labels)
    name = data.pop("architectures")[0]
    if (data.get("pad_token_id") or 0) >= data["vocab_size"]:
        data["pad_token_id"] = None  # nothing is padded, and torch would refuse it
    model_class, config_class = _import_classes(name)
    settings = config_class(**data)
    with torch.device("meta"):
        model = model_class(settings)
    dtype = dtype or classifier.decoder.dtype
    tensors = {
        key: tensor.to("cpu", dtype)
        for key, tensor in stored_tensors(classifier.decoder).items()
    }
    model.load_state_dict(tensors, strict=True, assign=True)
    # The rotary frequencies aren't in the state dict and are still on "meta".
    model.model.rotary_emb = type(model.model.rotary_emb)(config=settings)
    return model.eval()


def _import_classes(name: str) -> tuple[Any, Any]:
    """name (str): The name of a class of models.
    RETURNS (Tuple[Any, Any]): The class and that of its configs. `transformers` imports
        them only now, and builds their docstrings from those that it expects."""
    try:
        import transformers

        config_name = name.replace("ForSequenceClassification", "Config")
        return getattr(transformers, name), getattr(transformers, config_name)
    except Exception as e:
        message = Errors.E347.format(name=name, problem=type(e).__name__)
        raise SettingsError(message) from e


def reference_scores(
    classifier: Classifier,
    texts: Sequence[str],
    *,
    dtype: torch.dtype | None = None,
) -> np.ndarray:
    """Score texts with `transformers`, one at a time, without padding, truncated to one
    window.

    classifier (Classifier): The classifier to compare with.
    texts (Sequence[str]): Texts with at least one token each.
    dtype (Optional[torch.dtype]): The dtype to compute in; None for the classifier's.
    RETURNS (ndarray): Probabilities, (n_texts, n_labels), float32.
    """
    return score_with_reference(
        reference_model(classifier, dtype=dtype), classifier, texts
    )


def score_with_reference(
    model: Any, classifier: Classifier, texts: Sequence[str]
) -> np.ndarray:
    """Score texts like `reference_scores`, with a model that is already loaded.

    model (transformers.PreTrainedModel): From `reference_model`, on any device.
    classifier (Classifier): Provides the tokenizer and the window.
    texts (Sequence[str]): Texts with at least one token each.
    RETURNS (ndarray): Probabilities, (n_texts, n_labels), float32.
    """
    tokenizer = classifier.tokenizer
    max_tokens = classifier.settings.window - tokenizer.n_special
    device = next(model.parameters()).device
    rows = []
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer.add_special_tokens(tokenizer.encode(text).ids[:max_tokens])
            input_ids = torch.from_numpy(ids.astype(np.int64))[None].to(device)
            logits = model(input_ids=input_ids, use_cache=False).logits
            rows.append(logits[0].float().sigmoid().cpu().numpy())
    return np.stack(rows)
