"""`score`: score the texts in a file."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import complain, one_line_errors
from .options import (
    BatchTokens,
    Device,
    Model,
    PrecisionOption,
    TextKey,
    Verbose,
    value_of,
)
from .ray import ActorCpus, ActorGpus, RayActors, RayAddress, refuse, score_on_ray

if TYPE_CHECKING:
    from ..scoring.run import ScoreRequest

_N_NAMED = 20  # failed records that are reported one by one


class Sentences(str, Enum):
    isolated = "isolated"
    document = "document"


class Format(str, Enum):
    txt = "txt"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


In = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help="The texts: a .txt file with one text per line, a .jsonl, .csv or "
        ".parquet file, a folder of .parquet files, or - for standard input",
        show_default=False,
    ),
]
Out = Annotated[
    str,
    typer.Argument(
        metavar="OUT",
        help="The results: a .jsonl file, a folder of Parquet files (name.parquet, or "
        "ending with a slash), or - for standard output",
        show_default=False,
    ),
]
InputFormat = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Format of IN, if its name does not show it. Standard input is read as "
        "jsonl if it begins with {, otherwise as txt",
        show_default=False,
    ),
]
SentencesOption = Annotated[
    Sentences | None,
    typer.Option(
        help="Score each sentence as well: isolated, or in the context of its document",
        show_default=False,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Flag categories with a probability above this. By default 0.5, or the "
        "thresholds of the saved pipeline",
        show_default=False,
    ),
]
LanguageOption = Annotated[
    str,
    typer.Option(help="Language of the sentence rules: xx works for any language"),
]
Curve = Annotated[
    bool,
    typer.Option("--curve", help="Include how the risk develops along each text"),
]
Normalize = Annotated[
    bool,
    typer.Option(
        "--normalize",
        help="Score each text without disguises such as zero-width characters as well, "
        "and keep the higher score",
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Continue an earlier run that wrote to OUT"),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace OUT if it exists")
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Stop at the first record that cannot be scored"),
]


def score_cli(
    source: In,
    output: Out,
    model: Model = "DuoGuard/DuoGuard-0.5B",
    text_key: TextKey = "text",
    form: InputFormat = None,
    sentences: SentencesOption = None,
    threshold: Threshold = None,
    device: Device = "auto",
    precision: PrecisionOption = None,
    batch_tokens: BatchTokens = None,
    language: LanguageOption = "xx",
    curve: Curve = False,
    normalize: Normalize = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    strict: Strict = False,
    ray: RayActors = None,
    ray_address: RayAddress = None,
    actor_cpus: ActorCpus = 1,
    actor_gpus: ActorGpus = 0.0,
    verbose: Verbose = False,
) -> None:
    """Score the texts in a file: one result per record, in the same order.

    Each result has the fields of its record, followed by 'cats' (the probability of
    each category, and 'unsafe', the highest of them), 'flags' (the categories above the
    threshold), 'status' (ok, empty, truncated or error) and 'sentences' (the flagged
    ones). A record that cannot be read or scored is reported and marked unsafe: its
    probabilities are 1.0 and its status is error.

    To continue an interrupted run, repeat the command with --resume. The result is the
    same to the last byte, or it refuses: OUT.run.json says what was scored, and how.

    Exit codes: 0 all records scored, 1 error, 2 wrong usage, 3 finished, but some
    records could not be scored, 130 interrupted.

    Try it: python -m spacy duoguard score texts.txt results.jsonl --model demo
    """
    hint = "Repeat the command with --resume to continue."
    if ray is not None:
        refuse(format=form)
    if output == "-":
        hint = ""
    with one_line_errors(verbose, interrupted=hint):
        from ..scoring.pipelines import GuardOptions

        options = GuardOptions(
            model=model,
            language=language,
            sentences=value_of(sentences),
            threshold=threshold,
            device=device,
            precision=value_of(precision),
            batch_tokens=batch_tokens,
            curve=curve,
            normalize=normalize,
        )
        if ray is not None:
            from ..scoring.ray_dataset import Actors
            from ..scoring.ray_folder import FolderRun

            run = FolderRun(
                Path(source),
                Path(output),
                options,
                text_key,
                Actors(ray, actor_cpus, actor_gpus),
                overwrite=overwrite,
                resume=resume,
                strict=strict,
            )
            failed = score_on_ray(run, address=ray_address)
        else:
            from ..scoring.run import ScoreRequest, open_source

            request = ScoreRequest(
                source=open_source(source, form=value_of(form), text_key=text_key),
                output=output,
                options=options,
                resume=resume,
                overwrite=overwrite,
                strict=strict,
            )
            failed = _score(request)
        if failed:
            complain(f"Records that were not scored and are marked unsafe: {failed}")
            raise typer.Exit(3)


def _score(request: "ScoreRequest") -> int:
    """Score in this process, with a progress bar on a terminal.

    request (ScoreRequest): What to score, and how.
    RETURNS (int): The number of records that could not be scored.
    """
    import sys

    from tqdm import tqdm

    from ..scoring.run import count_records, score_file

    is_watched = sys.stderr.isatty()
    total = count_records(request.source) if is_watched else None
    n_failed = 0

    def report(name: str, problem: str) -> None:
        nonlocal n_failed
        n_failed += 1
        if n_failed <= _N_NAMED:
            with tqdm.external_write_mode(file=sys.stderr):
                complain(f"{name}: {problem}")

    bar = None
    try:
        for counts in score_file(request, report=report):
            if bar is None:  # the model is loaded
                bar = tqdm(
                    total=total,
                    initial=counts.done,
                    unit=" texts",
                    file=sys.stderr,
                    disable=not is_watched,
                )
            bar.set_postfix(flagged=counts.flagged, refresh=False)
            bar.update(counts.done - bar.n)
    finally:
        if bar is not None:
            bar.close()
    if n_failed > _N_NAMED:
        complain(f"... and {n_failed - _N_NAMED} more records.")
    return n_failed
