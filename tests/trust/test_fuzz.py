"""Anything as a checkpoint: a coded error or a component that works, and nothing else.

pytest -m slow tests/trust/test_fuzz.py     (more examples of each, for some minutes)
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
    seal,
)
from spacy_duoguard.engine.checkpoint.safetensors import parse_tensors
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.engine.text.windows import split_windows
from spacy_duoguard.errors import CheckpointError, DuoGuardError

# A saved setting beside a default one is warned about.
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

# What JSON can hold, and what its readers in Python take beyond that.
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
    """Where values stand in nested data."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*prefix, key))


def changed(data, path, value):
    """A copy of nested data with one value replaced, or left out for `...`."""
    copy = json.loads(json.dumps(data))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


def configs():
    places = sorted(paths(CONFIG), key=str)
    return st.builds(
        changed, st.just(CONFIG), st.sampled_from(places), JSON | st.just(...)
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
    """Each tensor that is promised can be read, and lies in the file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode("utf8")
    data = len(text).to_bytes(8, "little") + text + content
    try:
        found = parse_tensors(data, source="here")
    except CheckpointError:
        return
    sizes = [part.read().nbytes for part in found.values()]
    assert sum(sizes) == len(content)
    assert all(part.read().shape == part.shape for part in found.values())


def headers():
    places = sorted(paths(HEADER), key=str)
    numbers = st.sampled_from([0, 1, -1, 8, 24, 32, 2**31, 2**63, 2**64, True, 8.0])
    names = st.sampled_from(["F32", "BF16", "F16", "I8", "F64", "", "bool"])
    return st.builds(
        changed,
        st.just(HEADER),
        st.sampled_from(places),
        JSON | numbers | names | st.just(...),
    )


@pytest.fixture(scope="module")
def component(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("fuzz") / "model", QWEN2)
    nlp = spacy.blank("en")
    model = {"name": str(folder), "precision": "float32", "device": "cpu"}
    component = nlp.add_pipe("duoguard", config={"model": model})
    return nlp, component, component.to_bytes(exclude=["vocab"])


def check_bytes(component, data, exclude=("vocab",)):
    """A coded error, and the component is as it was; or it works."""
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
    """The bytes of a component with a stretch replaced."""
    data = component[2]
    at %= len(data)
    return data[:at] + new + data[at + width :]


# Most of the bytes are weights: half of the places are at the two ends.
MUTATIONS = st.tuples(
    st.integers(-300, 300) | st.integers(0, 10**6),
    st.binary(max_size=9),
    st.integers(0, 9),
)


def forged(component, part, value):
    """Parts changed by who makes the manifests fit again."""
    outer = srsly.msgpack_loads(component[2])
    inner = srsly.msgpack_loads(outer["model"])
    place = outer if part in outer else inner
    place[part] = value
    names = ("config", "tokenizer", "weights", "provenance")
    try:
        files = {name: digest(inner[name]) for name in names}
        inner[MANIFEST] = dump_manifest(seal(files))
        outer[MANIFEST] = dump_manifest(seal({"cfg": digest(outer["cfg"])}))
    except (AttributeError, TypeError):  # no strings or bytes any more
        pass
    if part != "model":
        outer["model"] = srsly.msgpack_dumps(inner)
    return srsly.msgpack_dumps(outer)


def parts(component):
    """Changed parts of a component, each with its name."""
    inner = srsly.msgpack_loads(srsly.msgpack_loads(component[2])["model"])
    cfg = json.loads(srsly.msgpack_loads(component[2])["cfg"])
    tokenizer = json.loads(inner["tokenizer"])
    shallow = {**tokenizer, "model": {**tokenizer["model"], "vocab": {}, "merges": []}}
    config = json.loads(inner["config"])

    def texts(data, whole=None):
        places = sorted(paths(data), key=str)

        def text(path, value):
            return json.dumps(changed(whole or data, path, value))

        return st.builds(text, st.sampled_from(places), JSON | st.just(...))

    return st.one_of(
        st.tuples(st.just("config"), texts(config)),
        st.tuples(st.just("tokenizer"), texts(shallow, tokenizer)),
        st.tuples(st.just("cfg"), texts(cfg).map(lambda text: text.encode("utf8"))),
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
    assert (tokens.ids < 322).all()  # none that was added
    last = 0
    for start, stop in split_windows(len(tokens.ids), window=8, stride=5):
        left, right = tokens.char_span(start, stop)
        assert 0 <= left <= last  # nothing lies between two windows
        assert left <= right <= len(text)
        last = right
    assert last == (len(text) if len(tokens.ids) else 0)


TEXT = st.text(max_size=40) | st.text("a <|endoftext|>\u0301é\u200b\n", max_size=60)


@pytest.fixture(scope="module")
def tokenizer():
    return TextTokenizer(make_tokenizer().to_str(), source="here")


def run(test, options, **strategies):
    """Run a check over many inputs. RETURNS how many there were."""
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
    """RETURNS how many inputs there were."""
    if case == "configs":
        return run(check_config, options, data=configs())
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
        part=parts(component),
    )


@pytest.mark.parametrize("case", CASES)
def test_anything_gives_a_coded_error_or_works(case, component, tokenizer):
    assert fuzz(case, QUICK, component, tokenizer) >= QUICK.max_examples


@pytest.mark.slow  # some minutes
@pytest.mark.parametrize("case", CASES)
def test_anything_at_length(case, component, tokenizer, record_property):
    count = fuzz(case, LONG, component, tokenizer)
    record_property("inputs", count)
    assert count >= LONG.max_examples


# That the checks above are not passed by refusing everything


def test_what_is_not_changed_works(component):
    assert check_bytes(component, component[2])
    inner = srsly.msgpack_loads(srsly.msgpack_loads(component[2])["model"])
    assert check_bytes(component, forged(component, "config", inner["config"]))
    check_header(HEADER)
    assert set(parse_tensors(save_header(), source="here")) == {"a", "b"}
    DecoderConfig.from_json(json.dumps(CONFIG))


def save_header():
    text = json.dumps(HEADER).encode("utf8")
    return len(text).to_bytes(8, "little") + text + bytes(32)
