"""What loading a model would import, sorted by where it comes from, and what of it is known to run anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

STANDARD: Final = "standard library"
SCIKIT_LEARN: Final = "scikit-learn and what it stands on"
OTHERS: Final = "others"
GROUPS: Final = (STANDARD, SCIKIT_LEARN, OTHERS)

_SCIENTIFIC: Final = frozenset({"sklearn", "numpy", "scipy", "joblib", "threadpoolctl", "pandas", "narwhals"})

# Known ways to run a command or code, to read or write files, or to reach anything else by name. A list like this is
# never complete: that nothing of it is named is no promise.
_MODULE_WORDS: Final = (
    "_aix_support _bootsubprocess _ctypes _ios_support _osx_support _posixsubprocess _pyrepl _socket _thread "
    "antigravity asyncio bdb cProfile code codeop commands concurrent ctypes dill distutils doctest ensurepip "
    "fileinput ftplib gc http idlelib imaplib imp importlib inspect lib2to3 linecache logging mailcap marshal "
    "mmap multiprocessing nntplib nt os pdb pip pkg_resources popen2 poplib posix profile pty pydoc requests "
    "runpy setuptools shelve shutil signal site smtplib socket socketserver sqlite3 ssl subprocess sys sysconfig "
    "telnetlib tempfile test threading timeit trace tracemalloc turtle unittest urllib urllib3 venv webbrowser "
    "winreg xmlrpc zipapp zipimport httpx aiohttp torch.hub torch.serialization numpy.testing numpy.f2py "
    "numpy.distutils numpy.ctypeslib joblib.memory joblib.numpy_pickle joblib.externals.loky IPython "
    "jupyter_client"
)
_MODULES: Final = frozenset(_MODULE_WORDS.split())
_NAME_WORDS: Final = (
    "builtins.__import__ builtins.breakpoint builtins.compile builtins.delattr builtins.eval builtins.exec "
    "builtins.exit builtins.getattr builtins.globals builtins.help builtins.input builtins.locals builtins.open "
    "builtins.quit builtins.setattr builtins.vars builtins.apply builtins.execfile builtins.file "
    "operator.attrgetter operator.methodcaller operator.call functools.reduce pickle.load pickle.loads "
    "pickle.Unpickler _pickle.load _pickle.loads _pickle.Unpickler cloudpickle.load cloudpickle.loads joblib.load "
    "codecs.open io.open io.FileIO io.open_code _io.open _io.FileIO _io.open_code numpy.load numpy.save "
    "numpy.savez numpy.savetxt numpy.loadtxt numpy.genfromtxt numpy.fromfile numpy.memmap pandas.eval "
    "pandas.read_pickle pandas.to_pickle pandas.read_csv pandas.core.computation.eval.eval platform.popen "
    "platform._syscmd_ver types.FunctionType types.CodeType pkgutil.resolve_name pkgutil.get_data "
    "pathlib.Path.write_text pathlib.Path.write_bytes pathlib.Path.unlink torch.load"
)
_NAMES: Final = frozenset(_NAME_WORDS.split())
_CARRIED: Final = ("cloudpickle", "joblib.externals.cloudpickle")
_CODE: Final = frozenset({"_make_function", "_make_skeleton_class", "_builtin_type", "_make_empty_cell", "_make_cell"})
_HARMLESS: Final = frozenset({"logging.getLogger", "collections.OrderedDict"})
_BOUND: Final = frozenset({"builtins.getattr", "pkgutil.resolve_name"})


def grouped(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Dotted names by the group that they belong to, each sorted."""
    found: dict[str, set[str]] = {group: set() for group in GROUPS}
    for module, name in names:
        top = module.partition(".")[0]
        group = STANDARD if top in sys.stdlib_module_names else SCIKIT_LEARN if top in _SCIENTIFIC else OTHERS
        found[group].add(f"{module}.{name}")
    return {group: sorted(there) for group, there in found.items() if there}


def dangers(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Those of the names that are known to run or reach anything, each with what it does."""
    found = {}
    for module, name in names:
        if reason := _danger(module, name):
            found[f"{module}.{name}"] = reason
    return dict(sorted(found.items()))


def carries_code(names: Iterable[tuple[str, str]]) -> bool:
    """Whether functions or classes travel in the file as code, as cloudpickle writes what a script defines."""
    return any(module.startswith(_CARRIED) and name in _CODE for module, name in names)


def _danger(module: str, name: str) -> str:
    dotted = f"{module}.{name}"
    if dotted in _HARMLESS:
        return ""
    if dotted in _BOUND:
        return "reaches anything by its name; methods that a model holds are written so, too"
    if dotted in _NAMES:
        return "can run code, or read or write files"
    parts = module.split(".")
    if any(".".join(parts[:number]) in _MODULES for number in range(1, len(parts) + 1)):
        return "can run commands or code, or reach files, the network or the interpreter"
    steps = name.split(".")
    if any(step in _MODULES or step in ("eval", "exec", "__import__", "__builtins__", "system") for step in steps):
        return "reaches another module through this one"
    if any(step.startswith("__") and step.endswith("__") for step in steps):
        return "reaches into how Python works"
    if module.startswith(_CARRIED) and name in ("loads", "load", "subimport", "dynamic_subimport"):
        return "imports or loads something else" if "load" in name else ""
    return ""
