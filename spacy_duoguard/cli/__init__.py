"""The commands `python -m spacy duoguard …`.

spaCy imports this module for every command, including its own. At the top, this and the
commands' modules may import only `spacy.cli` and typer. Everything else is imported
inside the commands.
"""

import typer
from spacy.cli import app  # type: ignore[attr-defined]

from .calibrate import calibrate_cli
from .convert import convert_cli
from .download import download_cli
from .duel import duel_cli
from .evaluate import evaluate_cli
from .report import report_cli
from .score import score_cli
from .verify import verify_cli

duoguard_cli = typer.Typer(name="duoguard", no_args_is_help=True)
app.add_typer(duoguard_cli)


@duoguard_cli.callback()
def duoguard() -> None:
    """Moderate texts with DuoGuard, and evaluate and calibrate its pipelines.

    For details of a command, add --help: python -m spacy duoguard score --help
    """


duoguard_cli.command("score")(score_cli)
duoguard_cli.command("evaluate")(evaluate_cli)
duoguard_cli.command("verify")(verify_cli)
duoguard_cli.command("download")(download_cli)
duoguard_cli.command("calibrate")(calibrate_cli)
duoguard_cli.command("report")(report_cli)
duoguard_cli.command("convert")(convert_cli)
duoguard_cli.command(
    "duel",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(duel_cli)
