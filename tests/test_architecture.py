"""What imports what, what an import costs, and other rules that hold for the code as a whole."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import autotrack

PACKAGE = Path(autotrack.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def loaded_by(code: str) -> set[str]:
    tell = "import json; print(json.dumps(sorted(set(sys.modules) - before)))"
    program = f"import sys; before = set(sys.modules)\n{code}\n{tell}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def third_party(modules: set[str]) -> set[str]:
    tops = {name.partition(".")[0] for name in modules}
    return {top for top in tops if top not in sys.stdlib_module_names and not top.startswith("_")} - {"autotrack"}


def test_importing_autotrack_loads_no_third_party_package_and_no_asyncio():
    loaded = loaded_by("import autotrack")
    assert third_party(loaded) == set()
    assert "asyncio" not in loaded
    assert {name for name in loaded if name.startswith("autotrack.")} == set()


def test_switching_autolog_on_loads_only_wrapt():
    assert third_party(loaded_by("import autotrack; autotrack.autolog()")) <= {"wrapt"}


def test_only_patching_imports_wrapt():
    assert [path.name for path in MODULES if "wrapt" in _imports(path)] == ["patching.py"]


def test_no_integration_calls_the_original():
    for path in (PACKAGE / "integrations").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert not called.endswith((".wrapped", "__wrapped__")), f"{path.name}:{node.lineno}"


def test_bare_except_exception_stands_only_where_a_reason_stands_beside_it():
    for path in MODULES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "except Exception" in line or "except BaseException" in line or line.strip() == "except:":
                then = "".join(path.read_text().splitlines()[number : number + 6])
                assert "BLE001" in line or "raise" in then or "exc_info" in then, f"{path}:{number}"


def test_every_public_name_resolves_and_is_documented():
    for name in autotrack.__all__:
        assert getattr(autotrack, name).__doc__, name
    assert set(autotrack.__all__) <= set(dir(autotrack))
    with pytest.raises(AttributeError, match="no attribute 'autolgo'"):
        autotrack.autolgo


def test_files_stay_readable_in_one_sitting():
    long = {path.name: count for path in MODULES if (count := len(path.read_text().splitlines())) > 500}
    assert long == {}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found
