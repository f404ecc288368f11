"""OpenVINO with batches sorted by length, in bfloat16 or int8. NNCF quantizes to int8
with SmoothQuant, as its documentation recommends for transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from systems import Score, _transformers, batches_by_length

# The fastest of 8, 16 and 32 on our machine.
BATCH = 8


def load(folder: Path, precision: str, cache: Path) -> Score:
    """folder (Path): The checkpoint.
    precision (str): "float32", "bfloat16" or "int8".
    cache (Path): The folder for the converted model.
    RETURNS (Score): Maps texts to probabilities."""
    import openvino
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    path = cache / f"openvino-{precision}.xml"
    if not path.is_file():
        openvino.save_model(_convert(folder, tokenizer, precision), path)
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT" if BATCH > 1 else "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
        "INFERENCE_PRECISION_HINT": "f32" if precision == "float32" else "bf16",
    }
    compiled = openvino.Core().compile_model(path, "CPU", hints)

    def score(texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 12))
        for batch in batches_by_length(texts, BATCH):
            logits = compiled(_inputs(tokenizer, [texts[i] for i in batch]))[0]
            rows[batch] = 1 / (1 + np.exp(-logits))
        return rows

    return score


def _convert(folder: Path, tokenizer: Any, precision: str) -> Any:
    import nncf
    import openvino

    model, _ = _transformers(folder, "float32")
    model.config.use_cache = False
    example = {
        name: torch.from_numpy(values)
        for name, values in _inputs(tokenizer, ["a text", "another text"]).items()
    }
    converted = openvino.convert_model(_Logits(model), example_input=example)
    if precision != "int8":
        return converted
    texts = [f"{word} {word} text number {i}" for i, word in enumerate("abcdefgh" * 4)]
    samples = nncf.Dataset([_inputs(tokenizer, [text]) for text in texts])
    return nncf.quantize(
        converted,
        samples,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(texts),
    )


class _Logits(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        # The mask of transformers, whose code the converter can't trace.
        length = input_ids.shape[1]
        visible = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        visible = visible & attention_mask[:, None, None, :].bool()
        mask = torch.zeros(visible.shape).masked_fill(~visible, -1e9)
        masks = {"full_attention": mask}
        return self.model(
            input_ids=input_ids, attention_mask=masks, use_cache=False
        ).logits


def _inputs(tokenizer: Any, texts: list[str]) -> dict[str, np.ndarray]:
    inputs = tokenizer(
        texts, return_tensors="np", padding=True, truncation=True, max_length=512
    )
    return {name: inputs[name] for name in ("input_ids", "attention_mask")}
