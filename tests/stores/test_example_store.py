"""The example of a store of one's own keeps the contract, also with several processes, and is found once installed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from autotrack.events import Entry, MetricsLogged
from autotrack.moving import copy_runs
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.testing import StoreContract
from autotrack.testing.samples import Journal, started

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "parquet_store"


def install(site: Path) -> None:
    """What an installer leaves behind: the module, and its entry points as its pyproject.toml names them."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site.mkdir()
    (site / "autotrack_parquet_store.py").write_text((EXAMPLE / "autotrack_parquet_store.py").read_text())
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in names.items()) for group, names in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    store = open_store(f"parquet:{tmp_path / 'runs'}")
    assert type(store).__name__ == "ParquetStore"
    yield store
    store.close()


class TestParquetStore(StoreContract):
    def reopen(self, store: Store) -> Store:
        store.close()
        return open_store(store.uri)


def test_it_fits_on_a_few_pages() -> None:
    assert len((EXAMPLE / "autotrack_parquet_store.py").read_text().splitlines()) <= 200


def test_processes_that_write_at_once_lose_nothing_and_repeat_nothing(store: Store, tmp_path: Path) -> None:
    program = (
        "import sys; from autotrack.stores import open_store; from autotrack.events import Entry, MetricsLogged\n"
        "from autotrack.entities import Metric; from autotrack.testing.samples import started\n"
        "store = open_store(sys.argv[1]); own = sys.argv[2] * 32\n"
        "for number in range(1, 21):\n"
        "    shared = MetricsLogged('f' * 32, (Metric('m', number, number),))\n"
        "    mine = started(own) if number == 1 else MetricsLogged(own, (Metric('m', number, number),))\n"
        "    store.apply([Entry('shared', number, shared), Entry(own, number, mine)])\n"
    )

    def write(name: str) -> None:
        environment = {"PYTHONPATH": ":".join([str(tmp_path / "site"), *sys.path])}
        subprocess.run([sys.executable, "-c", program, store.uri, name], check=True, env=environment)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    for name in "abcd":
        assert [metric.step for metric in store.metric_history(name * 32, "m")] == list(range(2, 21))
    assert [metric.step for metric in store.metric_history("f" * 32, "m")] == list(range(1, 21))
    assert not list((tmp_path / "runs" / "log").glob(".*"))


def test_a_damaged_file_is_named_and_the_others_are_read(store: Store, tmp_path: Path) -> None:
    journal = Journal()
    for name in "abc":
        store.apply(journal.entries(started(name * 32, name=name)))
    (tmp_path / "runs" / "log" / "00000002.parquet").write_bytes(b"PAR1")
    again = open_store(store.uri)
    assert [run.name for run in again.search_runs(order_by=["name"])] == ["a", "c"]
    assert "00000002.parquet cannot be read" in again.problems()[0]


def test_runs_are_copied_into_it_and_other_tools_read_its_log(store: Store, tmp_path: Path) -> None:
    source = open_store(tmp_path / "source")
    source.apply(Journal().entries(*(started(name * 32, name=name) for name in "abc")))
    assert copy_runs(source, store).new == 3
    assert copy_runs(source, store).unchanged == 3
    table = pq.read_table(tmp_path / "runs" / "log")
    assert sorted(table["type"].to_pylist()) == ["run_started"] * 3
    source.close()


def test_a_number_too_large_for_the_column_is_refused_whole(store: Store) -> None:
    from autotrack.errors import StoreError

    with pytest.raises(StoreError, match="cannot write"):
        store.apply([Entry("j", 1, started("a" * 32)), Entry("j", 2**70, MetricsLogged("a" * 32, ()))])
    assert store.search_runs() == []
