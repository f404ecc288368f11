"""The architecture: imports between the rooms of the package, and between those of the
engine, run downward only. Nowhere do they form a circle."""

from graphlib import CycleError, TopologicalSorter

import pytest
from support.imports import IMPORTS, room

# From the bottom up: a room may only import from those before it.
ROOMS = [
    "errors",
    "taxonomy",
    "disguises",
    "engine",
    "pipeline",
    "scoring",
    "corpora",
    "calibration",
    "evaluation",
    "review",
    "duel",
    "cli",
    "__init__",
]
ENGINE = [
    "unique_keys",
    "user_warnings",
    "fork_lock",
    "fallbacks",
    "network",
    "settings",
    "text",
    "conversation",
    "checkpoint",
    "flags",
    "decisions",
    "verdict",
    "feature_cache",
    "prefix_scores",
    "text_scores",
    "turn_scores",
    "runner",
    "launched",
    "classifier",
    "training",
    "streaming",
    "download",
]


def upward(order, room_of):
    """The imports that lead from a room to a later one."""
    return [
        (module, target)
        for module, targets in IMPORTS.items()
        for target in targets
        if (rooms := (room_of(module), room_of(target)))[0] != rooms[1]
        and None not in rooms
        and order.index(rooms[0]) < order.index(rooms[1])
    ]


def engine_room(module):
    return module[1] if module[0] == "engine" and module[1] != "__init__" else None


def test_every_module_is_in_a_room_of_the_plan():
    assert {room(module) for module in IMPORTS} == set(ROOMS)
    assert {engine_room(module) for module in IMPORTS} - {None} == set(ENGINE)


def test_every_import_names_a_module():
    modules = set(IMPORTS)
    for module, targets in IMPORTS.items():
        assert targets <= modules | {(*target, "__init__") for target in modules}, (
            module
        )


@pytest.mark.parametrize(
    ("order", "room_of"), [(ROOMS, room), (ENGINE, engine_room)], ids=["top", "engine"]
)
def test_imports_run_downward_between_rooms(order, room_of):
    assert upward(order, room_of) == []


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as e:
        pytest.fail(f"imports in a circle: {e.args[1]}")
