"""Which module of the package imports which, read from the source."""

import ast

from .paths import PACKAGE


def module_name(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


def imported_modules(path):
    """The modules of the package that a file imports, at its top or anywhere."""
    package = module_name(path)[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = (*base, *node.module.split(".")) if node.module else base
            if (PACKAGE.joinpath(*module)).is_dir():  # `from ..network import cpu`
                yield from ((*module, alias.name) for alias in node.names)
            else:
                yield module


IMPORTS = {
    module_name(path): set(imported_modules(path)) for path in PACKAGE.rglob("*.py")
}


def room(module):
    return module[0]
