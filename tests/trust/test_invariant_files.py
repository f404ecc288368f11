"""The invariant of `test_invariant.py` for `score`: damaged input, neighbours that lose
or replace docs, faults, and runs that are interrupted and resumed.

Run `pytest -m slow tests/trust/test_invariant_files.py` for many more examples.
"""

import json
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.failures import FAILED_CATS
from support.faults import FAULTS, STOPS, Unplugged, faulty_forwards, interrupted_after
from support.pipelines import AFTER, BEFORE, LOSING, Guarded, can_fail

from spacy_duoguard.errors import DuoGuardError
from spacy_duoguard.scoring import run
from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.run import ScoreRequest, open_source, score_file
from spacy_duoguard.taxonomy import CATEGORIES

pytestmark = pytest.mark.filterwarnings("ignore:.W00[145]")

QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=3000, derandomize=False)

LINES = [
    b'{"id": %d, "text": "The dog sleeps."}',
    b'{"id": %d, "text": "7"}',
    b'{"id": %d, "text": "the cat the cat the cat the cat the cat the cat 7 the cat"}',
    b'{"id": %d, "text": ""}',
    b'{"id": %d, "text": "\\u200b"}',
    b'{"id": %d, "text": "\\ud83d\\ude42 7"}',
    b'{"id": %d, "text": "\\ud800 7"}',
    b'{"id": %d, "text": "7", "text": "a"}',
    b'{"id": %d, "text": "7", "status": "ok", "flags": [], "cats": {"Hate": 0.0}}',
    b'{"id": %d, "text": null}',
    b'{"id": %d, "text": ["7"]}',
    b'{"id": %d, "text": "7", "size": NaN}',
    b'{"id": %d}',
    b'"%d 7"',
    b"\xff\xfe7 %d",
    b"{%d",
    b"",
    b"  ",
]


@dataclass
class Plan:
    lines: list[bytes]
    repeat: int  # of the lines, so that an input has several batches
    damage: list[tuple[int, bytes]]
    form: str
    script: list[str]
    n_lines: int
    before: list[str]
    after: list[str]

    @property
    def content(self):
        lines = [
            line % i if b"%d" in line else line
            for i, line in enumerate(self.lines * self.repeat)
        ]
        data = bytearray(b"\n".join(lines) + b"\n")
        for at, new in self.damage:
            at %= len(data)
            data[at : at + 1] = new
        return bytes(data)

    @property
    def is_calm(self):
        neighbours = {*self.before, *self.after}
        lost = neighbours & {*LOSING, "clear_data"} or "make_again" in self.after
        lost = lost or can_fail(self.after) or "break_data" in self.before
        return not (lost or self.n_lines or {*self.script} - {"ok"})


PLANS = st.builds(
    Plan,
    lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=8),
    repeat=st.sampled_from([1, 1, 1, 40]),
    damage=st.lists(
        st.tuples(st.integers(0, 10**6), st.binary(max_size=2)), max_size=3
    ),
    form=st.sampled_from(["jsonl", "parquet"]),
    script=st.lists(st.sampled_from(FAULTS) | st.just("ok"), max_size=6),
    n_lines=st.just(0) | st.integers(1, 6000),
    before=st.lists(st.sampled_from([*BEFORE, *LOSING]), max_size=2),
    after=st.lists(st.sampled_from([*AFTER, *LOSING]), max_size=2),
)


def refuse(_):
    raise ValueError("not JSON")


def unique(pairs):
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("twice")
    return dict(pairs)


def plain_text(line):
    """The text that a line says without doubt, or None."""
    try:
        text = line.removesuffix(b"\r").decode("utf8")
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
        value["text"].encode("utf8")
        return value["text"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def expected_texts(content):
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [plain_text(line) for line in lines if line.strip(b" \t\r\n\x0b\x0c")]


def read_results(output):
    if output.suffix == ".jsonl":
        return [json.loads(line) for line in output.read_bytes().splitlines()]
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = []
    for part in sorted(output.glob("part-*")):
        rows += parquet.read_table(part).to_pylist()
    for row in rows:
        row["cats"] = dict(row["cats"])
    return rows


def score_until_done(guarded, plan, source, output):
    """Run, and after an interrupt resume, or begin again where that is refused.
    RETURNS whether there are results."""
    options = GuardOptions(model="here", device="cpu")
    opened = open_source(str(source))
    stops = (KeyboardInterrupt, SystemExit, GeneratorExit, Unplugged)
    tries = [{}, {"resume": True}, {"overwrite": True}]
    script, n_lines = plan.script, plan.n_lines
    for flags in tries:
        try:
            with faulty_forwards(script), interrupted_after(n_lines):
                request = ScoreRequest(opened, str(output), options, **flags)
                return bool(list(score_file(request)))
        except stops:
            is_expected = n_lines or {*script} & {*STOPS}
        except DuoGuardError as e:
            if "E163" in str(e):  # bytes that look like UTF-16
                return False
            # A run that was interrupted early has left nothing to resume.
            is_expected = flags.get("resume")
        assert is_expected
        script, n_lines = [], 0
    raise AssertionError("never done")


def check_results(guarded, plan, texts, results):
    assert len(results) == len(texts)
    ids = [result["id"] for result in results if isinstance(result.get("id"), int)]
    if not plan.damage:
        assert ids == sorted(set(ids))
    for text, result in zip(texts, results, strict=True):
        cats, status = result["cats"], result["status"]
        if status == "error":
            assert cats == FAILED_CATS
            assert result["flags"] == list(CATEGORIES)
            assert result["error"]
            assert not (plan.is_calm and text is not None)
            continue
        assert text is not None
        assert result["text"] == text
        true = guarded.reference.cats(text)
        assert cats == pytest.approx(true, abs=2e-6 + 1e-5)
        high = {label for label in CATEGORIES if true[label] > 0.5 + 1e-5}
        assert high <= {*result["flags"]}


@pytest.fixture(scope="module", params=["plain", "sentences"])
def guarded(request, tmp_path_factory):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    folder = tmp_path_factory.mktemp("files") / request.param
    return Guarded(folder, request.param)


def check_plan(guarded, plan, folder):
    guarded.reset()
    steps = {**BEFORE, **AFTER, **LOSING}
    guarded.before.steps = [steps[name] for name in plan.before]
    guarded.after.steps = [steps[name] for name in plan.after]
    source = folder / "in.jsonl"
    source.write_bytes(plan.content)
    output = folder / f"out.{plan.form}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_guard", lambda options: guarded.nlp)
        if not score_until_done(guarded, plan, source, output):
            return
    results = read_results(output)

    check_results(guarded, plan, expected_texts(plan.content), results)


@pytest.fixture
def new_folder(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("run")


def test_no_record_ends_below_its_true_score(guarded, new_folder):
    QUICK(given(plan=PLANS)(lambda plan: check_plan(guarded, plan, new_folder())))()


@pytest.mark.slow  # minutes
def test_no_record_of_many_ends_below_its_true_score(guarded, new_folder):
    LONG(given(plan=PLANS)(lambda plan: check_plan(guarded, plan, new_folder())))()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_without_faults_every_valid_record_gets_its_true_score(guarded, tmp_path, form):
    plan = Plan(LINES, 12, [], form, [], 0, [], [])
    assert plan.is_calm
    check_plan(guarded, plan, tmp_path)
