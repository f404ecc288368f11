"""`python -m spacy duoguard …`. spaCy imports this module on every command, its own
ones too, so nothing here or in the modules of the commands may import more than
`spacy.cli` and typer at its top: what a command needs is imported inside it."""

import typer
from spacy.cli import app  # type: ignore[attr-defined]

from .calibrate import calibrate_cli
from .download import download_cli
from .evaluate import evaluate_cli
from .report import report_cli
from .score import score_cli
from .verify import verify_cli

duoguard_cli = typer.Typer(name="duoguard", no_args_is_help=True)
app.add_typer(duoguard_cli)


@duoguard_cli.callback()
def duoguard() -> None:
    """Score texts with DuoGuard, and look after pipelines that do.

    Each command tells more about itself: python -m spacy duoguard score --help
    """


duoguard_cli.command("score")(score_cli)
duoguard_cli.command("evaluate")(evaluate_cli)
duoguard_cli.command("verify")(verify_cli)
duoguard_cli.command("download")(download_cli)
duoguard_cli.command("calibrate")(calibrate_cli)
duoguard_cli.command("report")(report_cli)
