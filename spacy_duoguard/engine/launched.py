"""Queries that the device computes while the host prepares the next ones and reads the
ones before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from .network.device import computes_apart
from .prefix_scores import Query, QueryBatch, QueryPlan
from .runner import Launch, Runner
from .text.parallel import divide
from .text.split import Limits
from .text.views.messages import views_of_messages
from .text.windows import WindowedText
from .text_scores import TextScores, read_scores

# Characters of the queries that are launched together where the device computes apart
# from the host: about as many tokens as keep it busy while the host prepares the next.
PART_CHARS = 100_000

# How many launches may be ahead of what is read. With one, the device would wait while
# the host reads it.
MOST_WAITING = 2


@dataclass(frozen=True)
class LaunchedQueries:
    """Queries whose windows are being computed."""

    runner: Runner
    batch: QueryBatch
    launch: Launch

    @property
    def queries(self) -> list[Query]:
        """RETURNS (List[Query]): The queries, each once."""
        return [plan.query for plan in self.batch.plans]

    def read(self) -> dict[Query, TextScores]:
        """Wait for the device.

        RETURNS (Dict[Query, TextScores]): The answers.
        RAISES (ScoringError): A logit isn't finite.
        """
        windows = self.runner.read(self.launch)
        n_labels = self.launch.n_columns
        return {
            plan.query: read_scores(plan, windows[of_plan], n_labels)
            for plan, of_plan in zip(self.batch.plans, self.batch.slices, strict=True)
        }


def launch_queries(
    runner: Runner, queries: Sequence[Query], texts: Mapping[str, WindowedText]
) -> LaunchedQueries:
    """runner (Runner): Computes them.
    queries (Sequence[Query]): What to score, each once.
    texts (Mapping[str, WindowedText]): The windows of each text.
    RETURNS (LaunchedQueries): The queries. A GPU may still be computing.
    RAISES (ScoringError): Memory ran out."""
    batch = QueryBatch([QueryPlan.of(query, texts[query.text]) for query in queries])
    return LaunchedQueries(runner, batch, runner.launch(batch.ids, batch.positions))


def divide_queries(
    queries: Sequence[Query], device: torch.device
) -> Iterator[list[Query]]:
    """queries (Sequence[Query]): Queries.
    device (torch.device): Where to compute them.
    YIELDS (List[Query]): What to launch together, in order: all of them, unless the
        device computes apart from the host."""
    if computes_apart(device):
        yield from divide(queries, lambda query: len(query.text), most=PART_CHARS)
    elif queries:
        yield list(queries)


def divide_by_views(
    queries: Sequence[Query], limits: Limits
) -> Iterator[tuple[list[Query], Limits]]:
    """queries (Sequence[Query]): Queries.
    limits (Limits): What to read of them.
    YIELDS (Tuple[List[Query], Limits]): Queries whose texts are read in the same way:
        those of texts, and those of conversations, whose messages are read one by one.
    """
    chats = [query for query in queries if query.messages and limits.normalize]
    if len(chats) < len(queries):
        rest = set(chats)
        yield [query for query in queries if query not in rest], limits
    groups: list[tuple[dict[str, tuple[tuple[int, int], ...]], list[Query]]] = []
    for query in chats:
        for messages, members in groups:
            # The same text can be that of several conversations.
            if messages.setdefault(query.text, query.messages) == query.messages:
                members.append(query)
                break
        else:
            groups.append(({query.text: query.messages}, [query]))
    for messages, members in groups:
        views = views_of_messages(messages, limits.views)
        yield members, replace(limits, views=views)
