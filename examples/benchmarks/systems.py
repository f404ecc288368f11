"""The systems to compare: ours and its alternatives.

Each scores the same texts with the same weights. All but ours truncate texts to 512
tokens, so only texts of one window are compared.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

Score = Callable[[Sequence[str]], np.ndarray]

OURS = ("Classifier.score", "Classifier.score, native", "nlp.pipe")


def make_system(name: str, folder: Path, cache: Path) -> Score:
    """name (str): One of `system_names`.
    folder (Path): The checkpoint.
    cache (Path): The folder for converted models.
    RETURNS (Score): Maps texts to probabilities, (n_texts, 12)."""
    kind, _, option = name.rpartition(", ")
    makers: dict[str, Callable[..., Score]] = {
        "Classifier.score": _classifier,
        "Classifier.score, native": partial(_classifier, kernels="native"),
        "nlp.pipe": _component,
        "card's loop": _card_loop,
        "padded to 2,048": _padded_to_the_maximum,
        "transformers, sorted": _sorted_batches,
        "hf_text_pipe": _hf_text_pipe,
        "OpenVINO": _openvino,
        "vLLM": _vllm,
    }
    return makers[kind](folder, option, cache)


def system_names() -> list[str]:
    """RETURNS (List[str]): The names of the installed systems."""
    precisions = ("bfloat16", "int8", "float32")
    names = [f"{kind}, {precision}" for kind in OURS for precision in precisions]
    names += ["card's loop, bfloat16", "card's loop, float32"]
    names += ["padded to 2,048, bfloat16"]
    names += [f"transformers, sorted, batch {size}" for size in (8, 32)]
    if find_spec("spacy_huggingface_pipelines"):
        names += [f"hf_text_pipe, batch {size}" for size in (1, 8, 32, 128)]
    if find_spec("openvino") and find_spec("nncf"):
        names += [f"OpenVINO, {precision}" for precision in precisions]
    if find_spec("vllm"):
        names += ["vLLM, bfloat16"]
    return names


def default_systems() -> list[str]:
    """RETURNS (List[str]): The installed systems without those in float32, and without
    ours in int8 or with native kernels where the hardware doesn't have them."""
    from spacy_duoguard.engine.network.int8_linear import int8_products

    without = ["float32"]
    if torch.cuda.is_available() or not int8_products():
        without.append("int8")
    names = [name for name in system_names() if not name.endswith(tuple(without))]
    return names if _native_kernels() else [n for n in names if "native" not in n]


def _native_kernels() -> bool:
    from spacy_duoguard.engine.network.native.build import load_library
    from spacy_duoguard.errors import SettingsError

    try:
        load_library()
    except SettingsError:
        return False
    return not torch.cuda.is_available()


def takes_long_texts(name: str) -> bool:
    """name (str): One of `system_names`.
    RETURNS (bool): Whether it scores texts that are longer than a window."""
    return name.startswith(OURS)


def takes_one_text(name: str) -> bool:
    """name (str): One of `system_names`.
    RETURNS (bool): Whether it is made for one text at a time, too."""
    batched = ("batch 8", "batch 32", "batch 128")
    return not name.endswith(batched) and not name.startswith("padded")


def _classifier(
    folder: Path, precision: str, cache: Path, *, kernels: str = "torch"
) -> Score:
    from spacy_duoguard import Classifier

    device = "cuda" if torch.cuda.is_available() else "cpu"
    classifier = Classifier.from_pretrained(
        str(folder), precision=precision, device=device, kernels=kernels
    )
    return classifier.score


def _component(folder: Path, precision: str, cache: Path) -> Score:
    import spacy

    nlp = spacy.blank("xx")
    # Not `spacy.prefer_gpu`: without CuPy, it would leave the model on the CPU.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = {"name": str(folder), "precision": precision, "device": device}
    nlp.add_pipe("duoguard", config={"model": model})

    def score(texts: Sequence[str]) -> np.ndarray:
        docs = nlp.pipe(texts)
        return np.array([list(doc.cats.values())[:12] for doc in docs])

    return score


def _card_loop(folder: Path, precision: str, cache: Path) -> Score:
    """One text at a time, as on the model card."""
    model, tokenizer = _transformers(folder, precision)

    def score(texts: Sequence[str]) -> np.ndarray:
        return np.concatenate([_run(model, tokenizer, [text]) for text in texts])

    return score


def _padded_to_the_maximum(folder: Path, precision: str, cache: Path) -> Score:
    """As in the evaluation script of DuoGuard's authors."""
    model, tokenizer = _transformers(folder, precision)

    def score(texts: Sequence[str]) -> np.ndarray:
        options = {"padding": "max_length", "max_length": 2048}
        rows = [_run(model, tokenizer, [text], **options) for text in texts]
        return np.concatenate(rows)

    return score


def _sorted_batches(folder: Path, option: str, cache: Path) -> Score:
    model, tokenizer = _transformers(folder, "bfloat16")
    size = int(option.removeprefix("batch "))

    def score(texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 12))
        for batch in batches_by_length(texts, size):
            rows[batch] = _run(model, tokenizer, [texts[i] for i in batch])
        return rows

    return score


def batches_by_length(texts: Sequence[str], size: int) -> Iterator[list[int]]:
    """texts (Sequence[str]): The texts.
    size (int): The number of texts per batch.
    YIELDS (List[int]): The indices of texts with similar lengths."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    for first in range(0, len(order), size):
        yield order[first : first + size]


def _transformers(folder: Path, precision: str) -> tuple[Any, Any]:
    import transformers

    dtype = getattr(torch, precision)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, torch_dtype=dtype
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return model.to(device).eval(), tokenizer


def _run(model: Any, tokenizer: Any, texts: list[str], **options: Any) -> np.ndarray:
    options = {"padding": True, "max_length": 512, **options}
    inputs = tokenizer(texts, return_tensors="pt", truncation=True, **options)
    inputs = inputs.to(model.device)
    with torch.inference_mode():
        logits = model(**inputs).logits
    return logits.float().sigmoid().cpu().numpy()


def _hf_text_pipe(folder: Path, option: str, cache: Path) -> Score:
    import spacy

    spacy.prefer_gpu()
    nlp = spacy.blank("xx")
    kwargs = {"torch_dtype": "bfloat16", "function_to_apply": "sigmoid"}
    nlp.add_pipe("hf_text_pipe", config={"model": str(folder), "kwargs": kwargs})
    size = int(option.removeprefix("batch "))

    def score(texts: Sequence[str]) -> np.ndarray:
        docs = nlp.pipe(texts, batch_size=size)
        names = nlp.get_pipe("hf_text_pipe").hf_pipeline.model.config.id2label
        return np.array([[doc.cats[names[i]] for i in range(12)] for doc in docs])

    return score


def _openvino(folder: Path, precision: str, cache: Path) -> Score:
    from openvino_peer import load

    return load(folder, precision, cache)


def _vllm(folder: Path, precision: str, cache: Path) -> Score:
    """Untested: we had no machine with both vLLM and a GPU."""
    import vllm

    model = vllm.LLM(str(folder), runner="pooling", dtype=precision, max_model_len=512)

    def score(texts: Sequence[str]) -> np.ndarray:
        outputs = model.classify(list(texts), use_tqdm=False)
        return np.array([output.outputs.probs for output in outputs])

    return score
