"""What SCORE, by which `spacy train` selects the best pipeline, is made of.

The default weights leave those of other components alone. A default of None for
`sents_f` would take it from users who train a `senter`, and spaCy would save it as 0.0
in the `meta.json` of each pipeline without sentences.
"""

from spacy.language import Language
from spacy.util import dot_to_object
from thinc.api import Config

from ..engine.user_warnings import warn_once
from ..errors import Warnings


def check_score_weights(nlp: Language) -> None:
    """Warn if SCORE counts figures that training can't change, such as the `sents_f` of
    a sentencizer. spaCy gives each component the same share, trained or not.

    nlp (Language): The pipeline that is going to be trained.
    """
    config = nlp.config.interpolate()
    if not _has_training_corpus(config):
        return  # trained by the user's own loop, which makes no SCORE
    weights = config["training"]["score_weights"]
    frozen = config["training"]["frozen_components"]
    learned: set[str] = set()
    fixed: dict[str, str] = {}  # the component of each key
    for name in nlp.component_names:
        keys = nlp.get_pipe_meta(name).default_score_weights or {}
        trainable = getattr(nlp.get_pipe(name), "is_trainable", False)
        if trainable and name not in frozen:
            learned.update(keys)
        else:
            fixed.update(dict.fromkeys(keys, name))
    counted = [key for key in fixed if weights.get(key) and key not in learned]
    if not counted:
        return
    shares = ", ".join(f"{key} ({weights[key]:g})" for key in counted)
    names = ", ".join(dict.fromkeys(fixed[key] for key in counted))
    nulls = ", ".join(f"{key} = null" for key in counted)
    warn_once(Warnings.W013.format(shares=shares, names=names, nulls=nulls))


def _has_training_corpus(config: Config) -> bool:
    """Whether `spacy train` could run with this config. In the default one, the corpus
    has no path."""
    try:
        corpus = dot_to_object(config, config["training"]["train_corpus"])
    except KeyError:
        return False
    return corpus.get("path", "") is not None
