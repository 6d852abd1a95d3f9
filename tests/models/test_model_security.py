"""Model folders made with bad intent: nothing of them is read outside of the folder, and nothing of them runs."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sklearn.linear_model import LinearRegression

from autotrack.cli.app import app
from autotrack.errors import ModelError, ModelRefused
from autotrack.models import files as model_files
from autotrack.models import load_model, plain_yaml, read_mlmodel
from autotrack.models.example_reading import MAX_EXAMPLE, read_example
from autotrack.models.files import ModelFiles
from autotrack.models.inspecting import inspect_model
from autotrack.models.inspecting_pickle import read_pickle
from autotrack.models.loading import DigestMismatch
from autotrack.models.symbols import shown

Write = Callable[..., Path]
SECRET = "the secret of another file"
OUTSIDE = ["../outside.txt", "{outside}", "link", "linked/outside.txt", "a\\0b", "..", "."]


class Trap:
    """A pickle of this says that it was loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What stands here once a trap has sprung."""
    return tmp_path / "it ran"


@pytest.fixture
def folder(write: Write) -> Path:
    return write(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), input_example=[[1.0]])


@pytest.fixture
def trapped(folder: Path, mark: Path) -> Path:
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap(mark)))
    return folder


@pytest.fixture
def outside(folder: Path) -> Path:
    """A file beside the folder, and links in the folder that lead to it."""
    path = folder.parent / "outside.txt"
    path.write_text(SECRET)
    (folder / "link").symlink_to(path)
    (folder / "linked").symlink_to(folder.parent)
    return path


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "MLmodel"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["models", "inspect", *arguments], catch_exceptions=False)


# a pickle that would run code


def test_a_pickle_runs_nothing_unless_it_is_trusted(trapped: Path, mark: Path) -> None:
    with pytest.raises(ModelRefused, match=r"runs whatever stands in it.*trusted=True.*trusted_sources.*skops"):
        load_model(trapped)
    with pytest.raises(ModelRefused, match="trusted_types has no hold"):
        load_model(trapped, trusted=True, trusted_types=[])
    assert not mark.exists()
    load_model(trapped, trusted=True)
    assert mark.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_looking_into_a_pickle_runs_nothing(protocol: int, trapped: Path, mark: Path, tmp_path: Path) -> None:
    (trapped / "model.pkl").write_bytes(pickle.dumps(Trap(mark), protocol))
    found = inspect_model(trapped)
    result = call(str(trapped), "--html", str(tmp_path / "page.html"))
    assert call(str(trapped), "--format", "json").exit_code == 0
    assert not mark.exists()
    assert result.exit_code == 0
    assert set(found.dangers) == {f"{os.name}.mkdir"}
    assert f"! {os.name}.mkdir: can run commands" in result.output
    assert "refused unless trusted" in result.output
    assert f"{os.name}.mkdir" in (tmp_path / "page.html").read_text()


def code(*parts: bytes) -> bytes:
    return b"\x80\x05" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"cos\nsystem\n(S'touch x'\ntR.", "os.system"),
        (b"(S'touch x'\nios\nsystem\n.", "os.system"),
        (b"(cos\nsystem\nS'touch x'\no.", "os.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "builtins.eval"),
        (code(text("sklearn.utils"), text("os.system"), b"\x93"), "sklearn.utils.os.system"),
        (code(text("numpy.core"), text("_ufunc_reconstruct"), b"\x93", text("os"), text("run"), b"\x86R"), "os.run"),
        (code(text("pkgutil"), text("resolve_name"), b"\x93", text("os:system"), b"\x85R"), "os.system"),
        (code(text("builtins"), text("getattr"), b"\x93"), "builtins.getattr"),
        (code(text("os"), b"\x940", text("x"), b"0h\x00", text("system"), b"\x93"), "os.system"),
    ],
)  # fmt: skip
def test_what_could_run_code_is_named(data: bytes, named: str, folder: Path) -> None:
    (folder / "model.pkl").write_bytes(data)
    assert named in inspect_model(folder).dangers


@pytest.mark.parametrize(
    "data",
    [
        code(b"}", text("os"), b"\x85R", text("system"), b"\x93"),  # the module's name is what a call gives
        code(b"\x82\x01"),  # a name from the registry of extensions
        code(text("pkgutil"), text("resolve_name"), b"\x93", b"}\x85R"),
    ],
)
def test_a_name_that_nobody_can_tell_before_is_a_danger(data: bytes, folder: Path) -> None:
    (folder / "model.pkl").write_bytes(data)
    assert "(names that are worked out while loading)" in inspect_model(folder).dangers


# paths that lead out


@pytest.mark.parametrize("way", OUTSIDE)
def test_no_way_leads_to_a_model_file_outside(way: str, folder: Path, outside: Path) -> None:
    edit(folder, "pickled_model: model.pkl", f'pickled_model: "{way.format(outside=outside)}"')
    with pytest.raises(ModelError, match="names the model file"):
        load_model(folder, trusted=True)
    found = inspect_model(folder)
    assert found.reading is None
    assert any("model file" in problem for problem in found.problems)


@pytest.mark.parametrize("way", [way for way in OUTSIDE if way not in ("link",)])
def test_no_way_leads_to_code_outside(way: str, folder: Path, outside: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = list(sys.path)
    edit(folder, "code: null", f'code: "{way.format(outside=outside)}"')
    with pytest.raises(ModelError, match="names the code folder"):
        load_model(folder, trusted=True)
    assert sys.path == before
    assert any("code folder" in problem for problem in inspect_model(folder).problems)


@pytest.mark.parametrize("way", OUTSIDE)
@pytest.mark.parametrize("serving", [False, True])
def test_no_way_leads_to_an_example_outside(way: str, serving: bool, folder: Path, outside: Path) -> None:
    key, file = ("serving_input_path", "serving_input") if serving else ("artifact_path", "input")
    edit(folder, f'{key}: "{file}_example.json"', f'{key}: "{way.format(outside=outside)}"')
    with pytest.raises(ModelError, match="input example"):
        read_example(read_mlmodel(folder), serving=serving)


def test_an_example_is_read_where_it_is(folder: Path) -> None:
    assert read_example(read_mlmodel(folder)) == [[1.0]]
    assert read_example(read_mlmodel(folder), serving=True) == {"inputs": [[1.0]]}


@pytest.mark.parametrize("name", ["requirements.txt", "model.pkl", "MLmodel", "extra.txt"])
def test_links_lead_nowhere_else(name: str, folder: Path, outside: Path) -> None:
    (folder / "link").unlink()
    (folder / "linked").unlink()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    if name == "MLmodel":  # what is no MLmodel is shown to nobody
        with pytest.raises(ModelError) as error:
            inspect_model(folder)
        assert SECRET not in str(error.value)
        return
    result = call(str(folder), "--format", "json")
    assert SECRET not in result.output
    assert f"a link to {outside}" in result.output
    with pytest.raises(ModelError, match="a link that leads out of the folder"):
        load_model(folder, trusted=True, digest="sha256:" + "0" * 64)


def test_a_folder_that_is_linked_into_it_is_not_walked(folder: Path, outside: Path) -> None:
    (folder / "link").unlink()
    assert [file.path for file in inspect_model(folder).files if file.path.startswith("linked")] == ["linked"]


def test_modules_that_come_along_run_only_when_trusted(folder: Path, mark: Path, monkeypatch: Any) -> None:
    before = list(sys.path)
    (folder / "code").mkdir()
    (folder / "code" / "brought.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nvalue = 7\n")
    edit(folder, "code: null", "code: code")
    (folder / "model.pkl").write_bytes(b"cbrought\nvalue\n.")
    with pytest.raises(ModelRefused):
        load_model(folder)
    assert inspect_model(folder).code == "code"
    assert not mark.exists()
    assert load_model(folder, trusted=True) == 7
    assert mark.exists()
    assert sys.path == before
    monkeypatch.delitem(sys.modules, "brought")


def test_modules_beside_a_skops_file_are_not_imported(write: Write, mark: Path) -> None:
    pytest.importorskip("skops")
    folder = write(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), serialization_format="skops")
    (folder / "code").mkdir()
    for name in ("numpy", "sklearn", "brought"):
        (folder / "code" / f"{name}.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    edit(folder, "code: null", "code: code")
    before = list(sys.path)
    assert load_model(folder).coef_.shape == (1,)
    assert inspect_model(folder).untrusted_types == []
    assert sys.path == before
    assert not mark.exists()


# YAML


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir ['{mark}']", "!!python/name:os.system ''", "!mine x"])
def test_yaml_tags_run_nothing(tag: str, folder: Path, mark: Path) -> None:
    edit(folder, "model_id: null", f"model_id: {tag.format(mark=mark)}")
    for look in (load_model, inspect_model, read_mlmodel):
        with pytest.raises(ModelError, match="is not valid YAML"):
            look(folder)
    assert not mark.exists()


def _laughs(form: str) -> str:
    lines = [f"l0: &l0 {form.format('lol', 'lol')}"]
    lines += [f"l{n}: &l{n} {form.format(f'*l{n - 1}', f'*l{n - 1}')}" for n in range(1, 40)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "bomb",
    [
        _laughs("[{}, {}]") + "\nrun_id: *l39",
        _laughs("{{a: {}, b: {}}}"),
        "m0: &m0 {a: 1}\n" + "\n".join(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}" for n in range(1, 40)),
        "l: &l [*l, *l]",
        "list: [" + "1," * 210_000 + "]",
        "[" * 100_000,
        "? " * 100_000,
    ],
    ids=["lists", "mappings", "merges", "circle", "many", "deep", "keys"],
)
def test_a_yaml_bomb_does_not_go_off(bomb: str, folder: Path) -> None:
    path = folder / "MLmodel"
    path.write_text(f"{path.read_text()}{bomb}\n")
    with pytest.raises(ModelError, match="is not valid YAML"):
        read_mlmodel(folder)


def test_aliases_that_stand_for_little_are_read() -> None:
    assert plain_yaml.parse("a: &a [1, 2]\nb: *a\nc: {<<: &d {e: 1}, f: *d}") == {
        "a": [1, 2], "b": [1, 2], "c": {"e": 1, "f": {"e": 1}}
    }  # fmt: skip


# archives and large files


def _archive(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("member", ["schema.json", "1.npy"])
def test_a_skops_file_that_unfolds_to_gigabytes_is_not_opened(member: str, write: Write) -> None:
    pytest.importorskip("skops")
    folder = write(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), serialization_format="skops")
    _archive(folder / "model.skops", {"schema.json": b"{}"} | {member: b"\0" * (72 * 2**20)})
    assert (folder / "model.skops").stat().st_size < 2**20
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="an archive of .* bytes that would unfold to"):
            load_model(folder)
        assert "would unfold to" in inspect_model(folder).problems[0]
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "schema", [b"", b"no json", b"[" * 100_000, b'{"__loader__":"TypeNode"}', b'{"content":' * 5000, b"3", b"{}"]
)
def test_a_damaged_skops_description_is_said(schema: bytes, write: Write) -> None:
    pytest.importorskip("skops")
    folder = write(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), serialization_format="skops")
    _archive(folder / "model.skops", {"schema.json": schema})
    assert inspect_model(folder).model_file == "model.skops"
    with pytest.raises(ModelError):
        load_model(folder)


def test_an_example_that_unfolds_to_gigabytes_is_not_unfolded(folder: Path) -> None:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="w") as file:
        for _ in range(20):
            file.write(b" " * 2**20)
    (folder / "input_example.json.gz").write_bytes(buffer.getvalue())
    edit(folder, 'artifact_path: "input_example.json"', 'artifact_path: "input_example.json.gz"')
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="unfolds to more than 16 MiB"):
            read_example(read_mlmodel(folder))
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_EXAMPLE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["MLmodel", "input_example.json", "requirements.txt"])
def test_a_huge_file_is_not_read(name: str, folder: Path) -> None:
    info = read_mlmodel(folder)
    os.truncate(folder / name, 2**36)  # it takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="is larger than|is too large"):
            {
                "MLmodel": lambda: read_mlmodel(folder),
                "input_example.json": lambda: read_example(info),
                "requirements.txt": lambda: ModelFiles(folder).read("requirements.txt", 2**20),
            }[name]()
        assert tracemalloc.get_traced_memory()[1] < 300 * 2**20
    finally:
        tracemalloc.stop()


def test_pipes_and_devices_are_no_files(folder: Path) -> None:
    (folder / "model.pkl").unlink()
    os.mkfifo(folder / "model.pkl")
    (folder / "endless").symlink_to("/dev/zero")
    with pytest.raises(ModelError, match=r"model\.pkl.*not there|is no plain file"):
        load_model(folder, trusted=True)
    with pytest.raises(ModelError, match="no plain file|leads out"):
        load_model(folder, trusted=True, digest="sha256:" + "0" * 64)
    assert inspect_model(folder).problems


# pickles that would keep whoever looks at them


def _tower(height: int) -> bytes:
    return b")" + b"2\x86" * height


BOMBS = {
    "memo": code(b"Nr\xff\xff\xff\xff"),
    "bytes": code(b"\x8e" + struct.pack("<Q", 2**60)),
    "bytearray": code(b"\x96" + struct.pack("<Q", 2**60)),
    "frame": code(b"\x95" + struct.pack("<Q", 2**60) + b"N"),
    "integer": code(b"\x8b" + struct.pack("<i", 2**31 - 1)),
    "negative": code(b"\x8b" + struct.pack("<i", -5)),
    "hash": code(b"}" + _tower(60) + b"Ns"),
    "list": code(b"]" + b"2\x86" * 2000),
    "deep": code(b"(" * 20_000 + b"N" + b"l" * 20_000),
    "loop": code(b"}" + b"\x94" + text("a") + b"h\x00s"),
    "states": code(text("a"), text("B"), b"\x93)\x81" + (b"}(" + text("p") + _tower(60) + b"ub") * 500),
    "digits": b"I" + b"9" * 4000 + b"\n.",
    "big": code(b"\x8b" + struct.pack("<i", 4000) + b"\xff" * 3999 + b"\x7f"),
    "nothing": b"",
    "cut": pickle.dumps(LinearRegression())[:-20],
    "marks": code(b"t1e"),
    "unknown": b"\xff\xfe",
    "endless line": b"V" + b"x" * 10**6,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_bomb_does_not_go_off_when_it_is_looked_at(name: str, folder: Path, tmp_path: Path) -> None:
    (folder / "model.pkl").write_bytes(BOMBS[name])
    found = inspect_model(folder)
    assert found.reading is not None
    assert len(shown(found.reading.root)) < 20_000
    assert call(str(folder), "--html", str(tmp_path / "x.html")).exit_code == 0
    assert call(str(folder), "--format", "json").exit_code == 0


def test_reading_stops_after_so_many_steps_and_seconds() -> None:
    endless = b"\x80\x05" + b"N0" * 100_000
    assert "more than 1,000 steps" in read_pickle(io.BytesIO(endless), most_steps=1000).trouble
    began = time.monotonic()
    assert "too long" in read_pickle(io.BytesIO(endless), most_seconds=0).trouble
    assert time.monotonic() - began < 10


# what is loaded is what was hashed


@pytest.mark.parametrize("kept", [model_files.KEPT, 10], ids=["in memory", "kept open"])
def test_what_is_exchanged_after_the_check_is_not_used(kept: int, folder: Path, mark: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(model_files, "KEPT", kept)
    with ModelFiles(folder) as files:
        wanted = files.digest()
    take = ModelFiles.digest

    def take_and_exchange(self: ModelFiles) -> str:
        taken = take(self)
        (folder / "new").write_bytes(pickle.dumps(Trap(mark)))
        os.replace(folder / "new", folder / "model.pkl")
        (folder / "MLmodel").unlink()
        (folder / "MLmodel").write_text("flavors: {sklearn: {pickled_model: other.pkl}}")
        return taken

    monkeypatch.setattr(ModelFiles, "digest", take_and_exchange)
    assert load_model(folder, trusted=True, digest=wanted).coef_.shape == (1,)
    assert not mark.exists()
    monkeypatch.undo()
    with pytest.raises(DigestMismatch, match="is not what was logged"):
        load_model(folder, trusted=True, digest=wanted)


def test_what_is_shown_of_a_model_is_only_text(write: Write, tmp_path: Path) -> None:
    evil = "</table><script>alert(1)</script>\x1b[31m"
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    model.fit_intercept = evil
    folder = write(model)
    edit(folder, "run_id: ", f"run_id: {json.dumps(evil)} # ")
    result = call(str(folder), "--html", str(tmp_path / "x.html"))
    page = (tmp_path / "x.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in result.output + page
