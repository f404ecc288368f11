"""Stands in for the actors of a Ray cluster, in this process."""

from spacy_duoguard.scoring.ray.shard_scorer import ShardScorer


class LocalPool:
    """Scores shards one after the other. `LocalPool.stop_after` shards, the run is
    interrupted like that of a driver that is killed."""

    stop_after = None
    scored = 0  # shards, in this test
    results = ()  # a list that collects what actors send back

    def __init__(self, actors, arguments, check):
        self.arguments, self.check = arguments, check

    def score(self, shards, folder):
        scorer = ShardScorer(**self.arguments)
        self.check(scorer.describe())
        for i, shard in enumerate(shards):
            if i == self.stop_after:
                raise KeyboardInterrupt
            type(self).scored += 1
            outcome = scorer.score(shard, folder)
            if isinstance(self.results, list):
                self.results.append(outcome)
            yield outcome
            if not outcome.is_written:
                return
