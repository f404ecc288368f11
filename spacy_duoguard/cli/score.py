"""`score`: score the texts in a file."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .failures import one_line_errors
from .options import (
    BatchTokens,
    Device,
    Model,
    PrecisionOption,
    TextKey,
    Verbose,
    value_of,
)
from .progress import score_here
from .ray import ActorCpus, ActorGpus, RayActors, RayAddress, refuse, score_on_ray


class Sentences(str, Enum):
    isolated = "isolated"
    document = "document"


class Format(str, Enum):
    txt = "txt"
    jsonl = "jsonl"
    csv = "csv"
    tsv = "tsv"
    parquet = "parquet"


In = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help="The texts: a .txt file with one text per line, a .jsonl, .csv, .tsv or "
        ".parquet file, a folder of .parquet files, or - for standard input. Text "
        "files may be compressed (.gz, .zst)",
        show_default=False,
    ),
]
Out = Annotated[
    str,
    typer.Argument(
        metavar="OUT",
        help="The results: a .jsonl, .jsonl.gz or .jsonl.zst file, a folder of Parquet "
        "files (name.parquet, or ending with a slash), or - for standard output",
        show_default=False,
    ),
]
InputFormat = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Format of IN, if its name does not show it. Standard input needs it, "
        "unless it is jsonl and begins with {",
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
ReviewThreshold = Annotated[
    float | None,
    typer.Option(
        help="Mark texts for review that have a category above this, and none above "
        "its threshold. By default none, or as in the saved pipeline",
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
        help="Score each text as it reads without disguises such as zero-width "
        "characters, and decoded, as well, and keep the highest score",
    ),
]
MaxChars = Annotated[
    int | None,
    typer.Option(
        help="Score at most this many characters of each text, half of them from each "
        "end. Longer texts get the status truncated. By default all, or the setting of "
        "the saved pipeline",
        min=1,
        show_default=False,
    ),
]
Role = Annotated[
    list[str] | None,
    typer.Option(
        help="Score the turns of this role in conversations, of the others only as "
        "context. Repeat it for several. By default all, or as in the saved pipeline",
        show_default=False,
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
    review_threshold: ReviewThreshold = None,
    device: Device = "auto",
    precision: PrecisionOption = None,
    batch_tokens: BatchTokens = None,
    language: LanguageOption = "xx",
    curve: Curve = False,
    normalize: Normalize = False,
    max_chars: MaxChars = None,
    role: Role = None,
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

    If the field with the text holds a list of messages, {"role": ..., "content": ...},
    the conversation is scored, and each of its 'turns'.

    A summary on standard error says how many texts were scored and flagged, how fast,
    and which were not scored.

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
            review_threshold=review_threshold,
            device=device,
            precision=value_of(precision),
            batch_tokens=batch_tokens,
            curve=curve,
            normalize=normalize,
            max_chars=max_chars,
            roles=role or None,
        )
        if ray is not None:
            from ..scoring.ray.dataset import Actors
            from ..scoring.ray.folder import FolderRun

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
            failed = score_here(request)
        if failed:
            raise typer.Exit(3)
