"""What the card says about the parts of the training after the first one."""

from pathlib import Path

from spacy.util import load_config

from demo.documents import N_SAFE
from demo.taught_draws import TRUST

_SECOND = Path(__file__).parents[1] / "configs" / "demo_disguised.cfg"

_DISGUISED = """\
The second part continues from the checkpoint that the first one has written, with \
new texts of the same kind (`configs/demo_disguised.cfg`):

    python -m spacy project run demo-disguised . --vars.data FOLDER --vars.start FIRST

{level:.0%} of these texts stand among safe ones, in the form of documents with span \
gold, and {share:.0%} of all are disguised in the ways that no inverse undoes exactly. \
The weights are the mean of those before and after this part. The package's continued \
from the checkpoint of 2026-11-24 (revision d8f49a2 of the repository) and took nine \
CPU minutes (2026-11-26, revision 4a4e2eb).

For the package, it was run twice: the first time with 500 steps, twice the learning \
rate, 30% of the texts among safe ones and 35% disguised. The weights of neither run \
alone kept the AUROC on the held-out RTP-LX prompts, nor did the first one's mean \
(0.899 instead of 0.904 in French). So these were chosen among four on the held-out \
rows, which makes the figures slightly too good.

"""

_DOCUMENTS = """\
The third part continues from the second one's checkpoint (`demo/learn_documents.py`):

    python -m spacy project run demo-documents . --vars.data FOLDER --vars.second SECOND

It learns from texts alone and from documents in which an unsafe sentence stands among \
{least} to {most} safe ones. The text up to the end of a sentence has what one of its \
sentences has, and the score is meant to change most at the unsafe one. The labels \
come from a teacher that was also fitted on each sentence of the safe training rows, \
as a safe text. The weights are the mean of those before and after this part.

"""

_NOISE = """\
The last part continues from the second one's checkpoint (`demo/learn_noise.py`):

    python -m spacy project run demo-noise . --vars.data FOLDER --vars.second SECOND

It learns from texts with noise: letters left out, added, replaced, exchanged, \
repeated or moved, words divided or joined, letters in the other case, each at a drawn \
rate (`demo/noise.py`). It also learns from texts in the suite's disguises, from what \
`normalize` reads in both, and from texts as they are. The target is what SECOND \
scores for the text as it is. A short run is continued by two others, and a fourth one \
continues from their mean. In the fourth, 24 of the 40 texts of a step that stay as \
they are have labels (`demo/sentences.py`): training rows, parts of them, sentences of \
the safe ones and random mixtures. The target of these is {trust:.0%} the label and \
{rest:.0%} what SECOND scores.

To the weights of this run, half of what `demo-documents` has changed in SECOND is \
added (`demo/add.py`), and a fifth run continues from the sum, which also scores \
what it learns from. Of the texts of a step that stay as they are, 2 are documents \
in which most often one sentence is unsafe, and 32 are RTP-LX prompts and mixtures \
of them, which have what the mean of SECOND and the part on documents scores. At the \
end, 15% of what the noise had changed in SECOND is taken back, and 0.1 is added to \
all logits (`demo/shift.py`), which hardly changes an AUROC.

The package's runs were started one by one, with interruptions, never as this one \
command (2026-11-26 and 27), and what was added up had been rounded to bfloat16. \
They leave out the rows with `i % 5 == 1`, but the labelled texts and the parts \
before contain them. The weights of the fourth run were chosen among 18 on the \
held-out rows and with disguises of held-out English texts, and those of the fifth and \
what follows it among 11 on the held-out rows. Seven of these were also measured \
with the disguises, and five on ToxicChat, which limited what is added to the \
logits. That makes the figures too good.

Without `normalize`, fullwidth letters hide nearly every unsafe text, and upside-down \
text does in English and French. SECOND flagged them because it flagged nearly \
any such text: 94% to 96% of safe ones in fullwidth letters, 79% to 92% upside down \
(`i % 5 == 1`).

"""


def describe_parts(parts: int, *, noise: bool) -> str:
    """parts (int): How many parts of the training there were, not counting noise.
    noise (bool): Whether there was the part on noise, too.
    RETURNS (str): Paragraphs in Markdown about all but the first part."""
    text = ""
    if parts > 1:
        corpus = load_config(_SECOND)["corpora"]["train"]["corpus"]
        share = corpus["augmenter"]["level"]
        text += _DISGUISED.format(level=corpus["level"], share=share)
    if parts > 2:
        text += _DOCUMENTS.format(least=N_SAFE.start, most=N_SAFE.stop - 1)
    if noise:
        text += _NOISE.format(trust=TRUST, rest=1 - TRUST)
    return text
