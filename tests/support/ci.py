"""The scripts in .ci, as modules."""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from .paths import ROOT

CI = ROOT / ".ci"


def script(name: str) -> ModuleType:
    """name (str): The name of a script in .ci, without its ending.
    RETURNS (ModuleType): The script as a module, which isn't run.
    """
    spec = spec_from_file_location(name, CI / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
