"""Arbitrary input gives a coded error or a component that works, and nothing else.

Run `pytest -m slow tests/trust/test_fuzz.py` for many more examples.
"""

import json
import math

import numpy as np
import pytest
import spacy
import srsly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.checkpoints import QWEN2, make_tokenizer, write_checkpoint

from spacy_duoguard.engine.checkpoint.manifest import (
    MANIFEST,
    digest,
    dump_manifest,
    make_manifest,
)
from spacy_duoguard.engine.checkpoint.safetensors import parse_tensors
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.engine.text.windows import split_windows
from spacy_duoguard.errors import CheckpointError, DuoGuardError

pytestmark = pytest.mark.filterwarnings("ignore:.W003", "ignore:.W001")

QUICK = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=10_000)
CONFIG = {**QWEN2, "vocab_size": 300, "rope_scaling": None, "head_dim": 8}

# Any JSON value, including those that only Python's reader accepts.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 10**12, 2**63, 10**400, 1e308, 5e-324])
    | st.floats()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def paths(data, prefix=()):
    """The paths to all values in nested data."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*prefix, key))


def changed(data, path, value):
    """A copy of nested data with one value replaced, or removed for `...`."""
    copy = parent = json.loads(json.dumps(data))
    for key in path[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return copy


def changes(data, values=JSON, *, within=None):
    """Copies of nested data (within larger data) that differ in one value."""
    return st.builds(
        changed,
        st.just(within or data),
        st.sampled_from(sorted(paths(data), key=str)),
        values | st.just(...),
    )


def check_config(data):
    try:
        config = DecoderConfig.from_json(json.dumps(data))
    except CheckpointError:
        return
    assert config.num_attention_heads % config.num_key_value_heads == 0
    numbers = (config.rms_norm_eps, config.rope_theta)
    assert all(0 < number < math.inf for number in numbers)


HEADER = {
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
}


def check_header(header, content=bytes(32)):
    """Each tensor in the header can be read and lies in the file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode("utf8")
    data = len(text).to_bytes(8, "little") + text + content
    try:
        tensors = parse_tensors(data, source="here")
    except CheckpointError:
        return
    sizes = [tensor.read().nbytes for tensor in tensors.values()]
    assert sum(sizes) == len(content)
    assert all(tensor.read().shape == tensor.shape for tensor in tensors.values())


def headers():
    numbers = st.sampled_from([0, 1, -1, 8, 24, 32, 2**31, 2**63, 2**64, True, 8.0])
    names = st.sampled_from(["F32", "BF16", "F16", "I8", "F64", "", "bool"])
    return changes(HEADER, JSON | numbers | names)


@pytest.fixture(scope="module")
def component(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("fuzz") / "model", QWEN2)
    nlp = spacy.blank("en")
    model = {"name": str(folder), "precision": "float32", "device": "cpu"}
    component = nlp.add_pipe("duoguard", config={"model": model})
    return nlp, component, component.to_bytes(exclude=["vocab"])


def check_bytes(component, data, exclude=("vocab",)):
    """The component loads and works, or it raises a coded error and is unchanged."""
    nlp, pipe, _ = component
    before = pipe.classifier
    try:
        pipe.from_bytes(data, exclude=exclude)
    except DuoGuardError:
        assert pipe.classifier is before
        return False
    cats = nlp("The dog sleeps.").cats
    assert 0.0 <= cats["unsafe"] == max(list(cats.values())[:-1]) <= 1.0
    return True


def mutated(component, at, new, width):
    """The bytes of a component with some of them replaced."""
    data = component[2]
    at %= len(data)
    return data[:at] + new + data[at + width :]


# Most bytes are weights, so half of the mutations are near the two ends.
MUTATIONS = st.tuples(
    st.integers(-300, 300) | st.integers(0, 10**6),
    st.binary(max_size=9),
    st.integers(0, 9),
)


def forged(component, name, value):
    """The bytes of a component with a changed part and manifests that match it."""
    outer = srsly.msgpack_loads(component[2])
    inner = srsly.msgpack_loads(outer["model"])
    (outer if name in outer else inner)[name] = value
    names = ("config", "tokenizer", "weights", "provenance")
    try:
        files = {file: digest(inner[file]) for file in names}
        inner[MANIFEST] = dump_manifest(make_manifest(files))
        outer[MANIFEST] = dump_manifest(make_manifest({"cfg": digest(outer["cfg"])}))
    except (AttributeError, TypeError):  # the value is no longer a string or bytes
        pass
    if name != "model":
        outer["model"] = srsly.msgpack_dumps(inner)
    return srsly.msgpack_dumps(outer)


def changed_parts(component):
    """Changed parts of a component, with their names."""
    inner = srsly.msgpack_loads(srsly.msgpack_loads(component[2])["model"])
    cfg = json.loads(srsly.msgpack_loads(component[2])["cfg"])
    tokenizer = json.loads(inner["tokenizer"])
    shallow = {**tokenizer, "model": {**tokenizer["model"], "vocab": {}, "merges": []}}
    config = json.loads(inner["config"])

    tokenizers = changes(shallow, within=tokenizer).map(json.dumps)
    settings = changes(cfg).map(lambda data: json.dumps(data).encode("utf8"))
    return st.one_of(
        st.tuples(st.just("config"), changes(config).map(json.dumps)),
        st.tuples(st.just("tokenizer"), tokenizers),
        st.tuples(st.just("cfg"), settings),
        st.tuples(st.just("provenance"), JSON.map(json.dumps)),
        st.tuples(st.just("weights"), st.binary(max_size=64)),
        st.tuples(st.just("model"), st.binary(max_size=64)),
        st.tuples(st.sampled_from(["format_version", "config", "cfg"]), SIMPLE),
    )


SIMPLE = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
SIZES = st.integers(0, 3000), st.integers(1, 600), st.integers(1, 600)


def check_windows_of(n_tokens, window, stride):
    stride = min(stride, window)
    windows = split_windows(n_tokens, window=window, stride=stride)
    covered = np.zeros(n_tokens, dtype=bool)
    for start, stop in windows:
        assert 0 < stop - start <= window
        covered[start:stop] = True
    assert covered.all()


def check_text(tokenizer, text):
    tokens = tokenizer.encode(text)
    assert len(tokens.ids) == len(tokens.offsets)
    assert (tokens.ids < 322).all()  # no added token
    last = 0
    for start, stop in split_windows(len(tokens.ids), window=8, stride=5):
        left, right = tokens.char_span(start, stop)
        assert 0 <= left <= last  # no gap between two windows
        assert left <= right <= len(text)
        last = right
    assert last == (len(text) if len(tokens.ids) else 0)


TEXT = st.text(max_size=40) | st.text("a <|endoftext|>\u0301é\u200b\n", max_size=60)


@pytest.fixture(scope="module")
def tokenizer():
    return TextTokenizer(make_tokenizer().to_str(), source="here")


def run(test, options, **strategies):
    """Run a check on many inputs. RETURNS their number."""
    count = 0

    @options
    @given(**strategies)
    def inner(**values):
        nonlocal count
        count += 1
        test(**values)

    inner()
    return count


CASES = ["configs", "headers", "raw headers", "windows", "texts", "bytes", "forged"]


def fuzz(case, options, component, tokenizer):
    """Run the check of a case. RETURNS the number of inputs."""
    if case == "configs":
        return run(check_config, options, data=changes(CONFIG))
    if case == "headers":
        return run(check_header, options, header=headers())
    if case == "raw headers":
        return run(check_header, options, header=st.binary(), content=st.binary())
    if case == "windows":
        names = ("n_tokens", "window", "stride")
        sizes = dict(zip(names, SIZES, strict=True))
        return run(check_windows_of, options, **sizes)
    if case == "texts":
        return run(lambda text: check_text(tokenizer, text), options, text=TEXT)
    if case == "bytes":
        raw = run(
            lambda data: check_bytes(component, data),
            options,
            data=st.binary(max_size=64),
        )
        return raw + run(
            lambda change: check_bytes(component, mutated(component, *change)),
            options,
            change=MUTATIONS,
        )
    return run(
        lambda part: check_bytes(component, forged(component, *part)),
        options,
        part=changed_parts(component),
    )


@pytest.mark.parametrize("case", CASES)
def test_arbitrary_input_gives_a_coded_error_or_works(case, component, tokenizer):
    assert fuzz(case, QUICK, component, tokenizer) >= QUICK.max_examples


@pytest.mark.slow  # minutes
@pytest.mark.parametrize("case", CASES)
def test_ten_thousand_arbitrary_inputs(case, component, tokenizer, record_property):
    count = fuzz(case, LONG, component, tokenizer)
    record_property("inputs", count)
    assert count >= LONG.max_examples


def test_unchanged_input_works(component):
    """The checks above don't pass merely because everything is refused."""
    assert check_bytes(component, component[2])
    inner = srsly.msgpack_loads(srsly.msgpack_loads(component[2])["model"])
    assert check_bytes(component, forged(component, "config", inner["config"]))
    check_header(HEADER)
    header = json.dumps(HEADER).encode("utf8")
    data = len(header).to_bytes(8, "little") + header + bytes(32)
    assert set(parse_tensors(data, source="here")) == {"a", "b"}
    DecoderConfig.from_json(json.dumps(CONFIG))
