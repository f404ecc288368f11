"""`duel`: a generator that attacks, and a guard that learns."""

from pathlib import Path
from typing import Annotated

import typer

from .failures import complain, one_line_errors, say
from .options import Verbose

Config = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="Config of the duel: seeds, generator, judge, guard and rounds",
        exists=True,
        dir_okay=False,
    ),
]
Out = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="Folder for texts, guards and the report: new, or that of an interrupted "
        "run, which is continued",
        file_okay=False,
    ),
]


def duel_cli(
    ctx: typer.Context, config: Config, output: Out, verbose: Verbose = False
) -> None:
    """Let a generator write texts that the guard gets wrong, and train the guard on
    them.

    A chat model writes variants of your labelled texts in other languages. Those that
    the guard gets wrong, and seeds, train it. The report says how often it is wrong
    before and after, and whether it got worse on your dev texts.

    Settings of the config can be overridden as for `spacy train`: --rounds.n 3

    To continue an interrupted run, repeat the command. Only what is missing is asked
    for.

    Exit codes: 0 finished, 1 error, 2 wrong usage, 3 finished, but requests have failed
    or texts were not scored, 130 interrupted.
    """
    from spacy.cli._util import parse_config_overrides

    overrides = parse_config_overrides(ctx.args)
    hint = "Repeat the command to continue."
    with one_line_errors(verbose, interrupted=hint):
        from ..duel.run import run_duel
        from .duel_progress import DuelProgress

        report = run_duel(config, output, DuelProgress(), overrides)
        kept = report["kept"]["guard"]
        say(f"Ended: {report['ended']}")
        if kept is None:
            say("Kept: the guard that you started with")
        else:
            number = report["kept"]["round"]
            say(f"Kept: {output / 'guard'} (round {number})")
        say(f"Report: {output / 'report.json'}")
        missing = report["failed requests"], report["texts not scored"]
        if any(missing) or not any("measured" in steps for steps in report["rounds"]):
            complain(f"{missing[0]} requests failed, {missing[1]} texts not scored")
            raise typer.Exit(3)
