"""From the modules that a pickle names to pins."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from autotrack.models import find_requirements, read_mlmodel


def version(name: str) -> str:
    return importlib.metadata.version(name).partition("+")[0]


FRAMEWORKS = tuple(f"{name}=={version(name)}" for name in ("cloudpickle", "numpy", "scikit-learn"))


def test_the_frameworks_are_always_there() -> None:
    assert find_requirements(()).pins == FRAMEWORKS
    assert find_requirements(["sklearn.linear_model._base", "builtins", "os.path", "__main__"]).pins == FRAMEWORKS


def test_a_module_is_not_always_called_like_its_distribution() -> None:
    found = find_requirements(["yaml.nodes", "dateutil", "pandas.core.frame", "_pytest.fixtures"])

    expected = [f"{name}=={version(name)}" for name in ("pandas", "pytest", "python-dateutil", "PyYAML")]
    assert found.pins == tuple(sorted([*FRAMEWORKS, *expected], key=str.lower))
    assert found.local_modules == ()


def test_a_module_that_is_nowhere_is_optional() -> None:
    assert find_requirements(["surely_no_such_module.at_all"]) == find_requirements(())


def run(code: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_modules_beside_the_script_are_noted(tmp_path: Path) -> None:
    (tmp_path / "features.py").write_text("def double(X):\n    return X * 2\n")
    (tmp_path / "package" / "inner").mkdir(parents=True)
    (tmp_path / "package" / "inner" / "steps.py").write_text("def same(X):\n    return X\n")
    run(
        """
        import pathlib
        from features import double
        from package.inner.steps import same
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer
        from autotrack.models import write_model
        model = make_pipeline(FunctionTransformer(double), FunctionTransformer(same))
        write_model(pathlib.Path("m"), model, run_id="", signature=None, created=0)
        """,
        tmp_path,
    )

    assert read_mlmodel(tmp_path / "m").local_modules == ("features", "package")
    assert (tmp_path / "m" / "requirements.txt").read_text().splitlines() == list(FRAMEWORKS)


def fake_distribution(site: Path, name: str, module_version: str, files: str) -> None:
    info = site / f"{name.replace('-', '_')}-{module_version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {module_version}\n")
    (info / "RECORD").write_text(files)


def test_local_versions_editable_installs_and_shared_namespaces(tmp_path: Path) -> None:
    site, source = tmp_path / "site-packages", tmp_path / "source"
    fake_distribution(site, "plus-one", "1.2+cu118", "plus_one.py,,\n")
    (site / "plus_one.py").write_text("")
    fake_distribution(site, "edited", "0.1.dev3", "edited.pth,,\n")
    (source / "edited").mkdir(parents=True)
    (source / "edited" / "__init__.py").write_text("")
    for part in ("alpha", "beta"):
        (site / "shared" / part).mkdir(parents=True)
        (site / "shared" / part / "__init__.py").write_text("")
        fake_distribution(site, f"shared-{part}", "2.0", f"shared/{part}/__init__.py,,\n")
    (site / "orphan.py").write_text("")

    out = run(
        """
        import sys
        import plus_one, edited, shared.alpha, orphan
        from autotrack.models import find_requirements
        for name in ("plus_one", "edited", "shared.alpha", "orphan"):
            found = find_requirements([name])
            print(name, [pin for pin in found.pins if pin not in {frameworks}], list(found.local_modules))
        """.replace("{frameworks}", repr(FRAMEWORKS)),
        tmp_path,
        PYTHONPATH=os.pathsep.join([str(site), str(source), *filter(None, [os.environ.get("PYTHONPATH")])]),
    )

    assert out.splitlines() == [
        "plus_one ['plus-one==1.2'] []",
        "edited [] ['edited']",
        "shared.alpha ['shared-alpha==2.0', 'shared-beta==2.0'] []",
        "orphan [] ['orphan']",
    ]


@pytest.mark.parametrize("name", ["numpy", "sklearn"])
def test_the_answer_is_the_same_every_time(name: str) -> None:
    assert find_requirements([name, "scipy"]) is find_requirements(["scipy.sparse", f"{name}.x"])
