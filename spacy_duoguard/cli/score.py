"""`score`: the texts of a file, one result for each."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import Verbose, complain, one_line_errors
from .options import BatchTokens, Device, Model, PrecisionOption, value_of
from .ray import (
    ActorCpus,
    ActorGpus,
    RayActors,
    RayAddress,
    refuse,
    score_on_ray,
)

if TYPE_CHECKING:
    from ..scoring.run import ScoreRequest

# Of the records that cannot be scored, how many are named one by one.
_NAMED = 20


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
        help="The texts: a .txt file with one in each line, a .jsonl, .csv or "
        ".parquet file, a folder of .parquet files, or - for standard input",
        show_default=False,
    ),
]
Out = Annotated[
    str,
    typer.Argument(
        metavar="OUT",
        help="Where the results go: a .jsonl file, a folder for Parquet files "
        "(name.parquet, or with a slash at its end), or - for standard output",
        show_default=False,
    ),
]
TextKey = Annotated[
    str, typer.Option(help="The field or column that holds the text of a record")
]
InputFormat = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="What IN is, where its name does not tell. Standard input is taken for "
        "jsonl if it begins with {, else for txt",
        show_default=False,
    ),
]
SentencesOption = Annotated[
    Sentences | None,
    typer.Option(
        help="Score sentences too: each one alone, or as it reads in its document",
        show_default=False,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Flag what is more probable than this; for all categories. 0.5, or what "
        "the saved pipeline has",
        show_default=False,
    ),
]
LanguageOption = Annotated[
    str,
    typer.Option(help="Language whose rules cut sentences; xx: rules for any language"),
]
Curve = Annotated[
    bool, typer.Option("--curve", help="Write how the risk rises along each text")
]
Normalize = Annotated[
    bool,
    typer.Option(
        "--normalize",
        help="Score each text without disguises such as zero-width characters too, "
        "and keep the higher score",
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an earlier run with this OUT ended"),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Write OUT anew if it is there")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at the first record that is broken")
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
    """Score the texts of a file: one result for each, in order.

    A result has the fields of its record, then 'cats' (the probability of each
    category, and of 'unsafe'), 'flags' (the categories above the threshold), 'status'
    (ok, empty, truncated, error) and 'sentences' (the flagged ones). A record that
    cannot be read or scored is reported by its number and counts as unsafe: its
    probabilities are 1.0, its status is error.

    A run that was broken off goes on with --resume and the same arguments.

    Exit codes: 0 all scored, 3 all done, but some records could not be scored, 1 an
    error, 2 a mistake in the command, 130 interrupted.

    Try it: python -m spacy duoguard score texts.txt results.jsonl --model demo
    """
    rerun = "Run the command again with --resume to go on."
    if ray is not None:
        refuse(resume=resume, strict=strict, format=form)
    if output == "-" or ray is not None:
        rerun = ""
    with one_line_errors(verbose, interrupted=rerun):
        from ..scoring.pipelines import GuardOptions
        from ..scoring.run import ScoreRequest, open_source

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

            failed = score_on_ray(
                source,
                output,
                options,
                text_key=text_key,
                actors=Actors(ray, actor_cpus, actor_gpus),
                address=ray_address,
                overwrite=overwrite,
            )
            _end(failed)
            return
        request = ScoreRequest(
            source=open_source(source, form=value_of(form), text_key=text_key),
            output=output,
            options=options,
            resume=resume,
            overwrite=overwrite,
            strict=strict,
        )
        failed = _run(request)
        if failed > _NAMED:
            complain(f"... and {failed - _NAMED} more records.")
        _end(failed)


def _end(failed: int) -> None:
    """failed (int): How many records could not be scored."""
    if failed:
        complain(f"Not scored, and so counted as unsafe: {failed} of the records.")
        raise typer.Exit(3)


def _run(request: "ScoreRequest") -> int:
    """Score with a progress bar, if somebody is watching.

    request (ScoreRequest): What the user asked for.
    RETURNS (int): How many records could not be scored.
    """
    import sys

    from tqdm import tqdm

    from ..scoring.run import count_records, score_file

    watched = sys.stderr.isatty()
    total = count_records(request.source) if watched else None
    named = 0

    def report(number: int, problem: str) -> None:
        nonlocal named
        named += 1
        if named <= _NAMED:
            with tqdm.external_write_mode(file=sys.stderr):
                complain(f"Record {number}: {problem}")

    progress, bar = None, None
    try:
        for progress in score_file(request, report=report):
            if bar is None:  # the model is loaded
                bar = tqdm(
                    total=total,
                    initial=progress.done,
                    unit=" texts",
                    file=sys.stderr,
                    disable=not watched,
                )
            bar.set_postfix(flagged=progress.flagged, refresh=False)
            bar.update(progress.done - bar.n)
    finally:
        if bar is not None:
            bar.close()
    return progress.failed if progress else 0
