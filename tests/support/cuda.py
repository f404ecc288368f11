"""What stands in for CUDA where there is no GPU: the attention kernel with the
signature of each release of torch, and graphs that record what torch dispatches."""

import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch.nn.attention import varlen
from torch.utils._python_dispatch import TorchDispatchMode

from spacy_duoguard.engine.network import attention, flash_probe
from spacy_duoguard.engine.network.packing import pack

_BEGIN = (
    "Tensor query, Tensor key, Tensor value, Tensor? cum_seq_q, Tensor? cum_seq_k, "
    "SymInt max_q, SymInt max_k, float dropout_p, bool is_causal, "
    "bool return_debug_mask, *, float? scale=None, SymInt? window_size_left=None, "
    "SymInt? window_size_right=None, Tensor? seqused_k=None, Tensor? alibi_slopes=None"
)
_MORE = ", Tensor? block_table=None, int? num_splits=None"
_END = (
    " -> (Tensor output, Tensor softmax_logsumexp, Tensor rng_state, Tensor unused, "
    "Tensor debug_attn_mask)"
)

# Of `aten::_flash_attention_forward`, from native_functions.yaml in the wheels of these
# releases (torchgen/packaged/ATen/native).
SCHEMAS = {
    "2.10": f"({_BEGIN}){_END}",
    "2.11": f"({_BEGIN}){_END}",
    "2.12": f"({_BEGIN}{_MORE}){_END}",
    "2.13": f"({_BEGIN}{_MORE}){_END}",
}

# Of its wrapper, from torch/nn/attention/varlen.py in the same wheels: the arguments
# after `max_k`.
_WRAPPERS = {
    "2.10": {"is_causal", "return_aux"},
    "2.11": {"return_aux", "scale", "window_size"},
}
_WRAPPERS["2.12"] = _WRAPPERS["2.13"] = {
    *_WRAPPERS["2.11"],
    *("enable_gqa", "seqused_k", "block_table", "num_splits"),
}

_library = torch.library.Library("spacy_duoguard_tests", "DEF")
_packed = attention.packed_attention


def _attend(query, key, value, starts, _, longest, *__, is_causal, **options):
    """As the kernel: half precision only, and any number of heads."""
    if query.dtype not in (torch.bfloat16, torch.float16):
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type")
    lengths = starts.diff().tolist()
    assert is_causal
    assert max(lengths) <= longest
    texts = [torch.zeros(n, dtype=torch.int64).numpy() for n in lengths if n]
    total = sum(lengths)
    output = torch.full((len(query), query.shape[1] * query.shape[2]), torch.nan)
    rows = (x[:total].float() for x in (query, key, value))
    output[:total] = _packed(*rows, pack(texts))
    empty = [query.new_empty(0) for _ in range(4)]
    return output.to(query.dtype).view(query.shape), *empty


def _dispatched(query, key, value, q, k, longest, _, dropout, causal, debug, **options):
    assert (dropout, debug) == (0.0, False)
    return _attend(query, key, value, q, k, longest, is_causal=causal)


for _version, _schema in SCHEMAS.items():
    _name = "flash_" + _version.replace(".", "_")
    _library.define(_name + _schema)
    _library.impl(_name, _dispatched, "CPU")


def use_torch(monkeypatch, version):
    """Give torch the kernel of a release, and its wrapper."""
    name = "flash_" + version.replace(".", "_")
    operator = getattr(torch.ops.spacy_duoguard_tests, name)
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", operator)

    def wrapper(query, key, value, q, k, max_q, max_k, **options):
        if unknown := {*options} - _WRAPPERS[version]:
            raise TypeError(f"unexpected keyword arguments {sorted(unknown)}")
        return _attend(query, key, value, q, k, max_q, is_causal=True)[0]

    monkeypatch.setattr(varlen, "varlen_attn", wrapper)
    monkeypatch.setattr(flash_probe, "_problems", {})


@dataclass
class FakeStream:
    device: object
    waits: list = field(default_factory=list)

    def wait_stream(self, other):
        self.waits.append(other)

    def wait_event(self, event):
        self.waits.append(event.stream)


class FakeEvent:
    stream = None

    def record(self, stream):
        self.stream = stream


class _Recorder(TorchDispatchMode):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, output))
        return output


class FakeGraph:
    """Replays what torch dispatched, on the tensors of that time."""

    def __init__(self):
        self.calls = []

    def replay(self):
        for func, args, kwargs, output in self.calls:
            again = func(*args, **kwargs)
            pairs = [(output, again)]
            if isinstance(output, (tuple, list)):
                pairs = zip(output, again, strict=True)
            for old, new in pairs:
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class FakeCuda:
    """Patches `torch.cuda`, for decoders on the CPU."""

    def __init__(self, monkeypatch, *, records=True, error=None):
        """records (bool): Whether graphs record anything. error (Optional[Exception]):
        What recording raises."""
        self.records, self.error = records, error
        self.recorded = []  # the stream of each recording
        self.recording = self.most_at_once = 0
        self.local = threading.local()
        for name in ("Stream", "Event", "CUDAGraph", "graph", "stream", "device"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, f"_{name.lower()}"))
        monkeypatch.setattr(torch.cuda, "current_stream", self.current_stream)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))

    def current_stream(self, device=None):
        if not hasattr(self.local, "stream"):
            self.local.stream = FakeStream(device)
        return self.local.stream

    def _stream(self, made_for):
        if isinstance(made_for, FakeStream):
            return nullcontext()  # `torch.cuda.stream(stream)`
        return FakeStream(made_for)  # `torch.cuda.Stream(device)`

    def _event(self):
        return FakeEvent()

    def _cudagraph(self):
        return FakeGraph()

    def _device(self, device):
        return nullcontext()

    @contextmanager
    def _graph(self, graph, *, pool, stream=None, capture_error_mode):
        self.recording += 1
        self.most_at_once = max(self.most_at_once, self.recording)
        try:
            if self.error is not None:
                raise self.error
            self.recorded.append(stream)
            with _Recorder(graph.calls if self.records else []):
                yield
        finally:
            self.recording -= 1
