"""Two players: a generator writes texts that the guard gets wrong, and the guard learns
from them. The command is `python -m spacy duoguard duel`."""
