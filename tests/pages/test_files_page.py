"""The files of a run: what is shown, how a file is sent, and that no spelling of a path leaves the run's folder."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from asked_pages import HOSTILE, Pages, asking, make_run, put_file

from autotrack.stores import open_store

PAGE = b"<html><script>alert(1)</script><body onload=alert(1)>hi</body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
FILES = {
    "report.html": PAGE,
    "REPORT.HTM": PAGE,
    "drawing.svg": SVG,
    "picture.png": PNG,
    "notes.md": b"# Title\n<b>bold</b>",
    "table.csv": b'name,value\n"a, b",1\nc,2\n',
    "data.json": b'{"a": [1, 2]}',
    "model/model.pkl": b"\x80\x05\x00cos\nsystem\n",
    "folder/inner/deep.txt": b"deep " * 1000,
    "evil.xhtml": PAGE,
    "noending": PAGE,
    "page.html.txt": PAGE,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Pages]:
    base = tmp_path_factory.mktemp("files")
    with asking(open_store(str(base / "store"))) as pages:
        make_run(pages.store, "r1", name="a run")
        make_run(pages.store, "r2")
        (base / "sources").mkdir()
        for path, content in FILES.items():
            put_file(pages.store, "r1", path, content, base / "sources")
        put_file(pages.store, "r2", "secret.txt", b"of another run", base / "sources")
        (base / "store" / "outside.txt").write_text("outside")
        yield pages


def raw(site: Pages, path: str, **options):
    return site.ask(f"/runs/r1/raw?path={quote(path)}", **options)


def preview(site: Pages, path: str):
    return site.json(f"/runs/r1/files.json?path={quote(path)}")["file"]["preview"]


def test_a_folder_lists_folders_first(site):
    found = site.json("/runs/r1/files.json")
    assert [entry["name"] for entry in found["entries"]][:2] == ["folder", "model"]
    assert {entry["name"]: entry["size"] for entry in found["entries"]}["table.csv"] == len(FILES["table.csv"])
    inner = site.json("/runs/r1/files.json?path=folder/inner")
    assert [entry["path"] for entry in inner["entries"]] == ["folder/inner/deep.txt"]
    assert "folder/inner/deep.txt" in site.page("/runs/r1/files?path=folder/inner")


def test_each_kind_of_file_is_shown_in_its_way(site):
    assert preview(site, "table.csv")["rows"] == [["a, b", "1"], ["c", "2"]]
    assert preview(site, "data.json")["text"] == json.dumps({"a": [1, 2]}, indent=2)
    assert preview(site, "notes.md")["text"] == FILES["notes.md"].decode()
    kinds = {path: preview(site, path)["kind"] for path in ("report.html", "picture.png", "drawing.svg")}
    assert kinds == {"report.html": "page", "picture.png": "image", "drawing.svg": "image"}
    assert preview(site, "model/model.pkl") == {"kind": "none", "reason": "it is no text", "note": ""}
    assert "&lt;b&gt;bold&lt;/b&gt;" in site.page("/runs/r1/files?path=notes.md")


def test_a_page_among_the_files_is_shown_in_a_sandbox_without_scripts(site):
    page = site.page("/runs/r1/files?path=report.html")
    assert '<iframe class="framed tall-frame" sandbox ' in page
    assert "alert(1)" not in page


def test_parquet_shows_its_first_rows(site, tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"n": range(500), "text": ["<b>"] * 500}), tmp_path / "t.parquet")
    put_file(site.store, "r1", "t.parquet", (tmp_path / "t.parquet").read_bytes(), tmp_path)
    shown = preview(site, "t.parquet")
    assert shown["columns"] == ["n", "text"]
    assert shown["types"] == ["int64", "string"]
    assert len(shown["rows"]) == 200
    assert shown["rows"][7] == ["7", "<b>"]
    assert "200 of 500 rows" in shown["note"]
    put_file(site.store, "r1", "broken.parquet", b"PAR1 no", tmp_path)
    assert preview(site, "broken.parquet")["kind"] == "none"


def test_previews_are_bounded(site, tmp_path):
    put_file(site.store, "r1", "big.txt", b"x" * 10**6, tmp_path)
    put_file(site.store, "r1", "wide.csv", b",".join(b"c%d" % n for n in range(500)) + b"\n" + b"1," * 499, tmp_path)
    put_file(site.store, "r1", "long.csv", b"a,b\n" + b"1,2\n" * 10**5, tmp_path)
    put_file(site.store, "r1", "deep.json", b"[" * 10**5, tmp_path)
    assert len(preview(site, "big.txt")["text"]) == 256 * 1024
    assert len(preview(site, "wide.csv")["columns"]) == 60
    assert len(preview(site, "long.csv")["rows"]) == 200
    assert preview(site, "deep.json")["kind"] == "text"


@pytest.mark.parametrize("path", sorted(FILES))
@pytest.mark.parametrize("show", ["", "&show=1"])
def test_no_file_is_sent_as_something_that_runs(site, path, show):
    answer = site.ask(f"/runs/r1/raw?path={quote(path)}{show}", headers={"accept": "text/html"})
    assert answer.content == FILES[path]
    policy, kind = answer.headers["content-security-policy"], answer.headers["content-type"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "allow-scripts" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    if kind.startswith(("text/html", "image/svg")):
        assert show
        assert "script-src" not in policy
    else:
        assert kind.partition(";")[0] in ("application/octet-stream", "text/plain", "image/png")
    if not show or kind == "application/octet-stream":
        assert answer.headers["content-disposition"].startswith("attachment;")


def test_the_type_is_not_for_the_client_to_choose(site):
    for query in ("&content_type=text/html", "&type=text/html", "&response-content-type=text/html", "&show=2"):
        answer = site.ask(f"/runs/r1/raw?path=report.html{query}", headers={"accept": "text/html"})
        assert answer.headers["content-type"] == "application/octet-stream"


def test_a_part_of_a_file_can_be_asked_for(site):
    part = raw(site, "folder/inner/deep.txt", headers={"range": "bytes=5-8"})
    assert (part.status_code, part.content) == (206, b"deep")
    assert part.headers["content-range"] == "bytes 5-8/5000"
    assert raw(site, "folder/inner/deep.txt", headers={"range": "bytes=9000-"}).status_code == 416
    head = site.ask("/runs/r1/raw?path=table.csv", "HEAD")
    assert head.headers["content-length"] == str(len(FILES["table.csv"]))
    assert head.content == b""


SPELLINGS = [
    "../r2/secret.txt", "..%2fr2%2fsecret.txt", "%2e%2e/r2/secret.txt", "%252e%252e%252fr2%252fsecret.txt",
    "folder/../../r2/secret.txt", "folder/%2e%2e/%2e%2e/r2/secret.txt", "..\\r2\\secret.txt", "..%5cr2%5csecret.txt",
    "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "///etc/passwd", "C:\\Windows\\win.ini", "C:/Windows/win.ini",
    "file:///etc/passwd", "http://127.0.0.1/", "s3://bucket/key", "../../outside.txt", "....//....//outside.txt",
    "..;/r2/secret.txt", "folder/inner/deep.txt/../../../../r2/secret.txt", "%c0%ae%c0%ae/r2/secret.txt",
    "..%00/r2/secret.txt",
    "table.csv%00.png", "~root/.bashrc", "$HOME", ".", "..", "./../r2", "\ufeff../r2/secret.txt", "folder", "",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("way", ["raw", "files", "files.json", "archive"])
def test_no_spelling_of_a_path_leaves_the_runs_folder(site, spelling, way):
    spelled = spelling if "%" in spelling else quote(spelling)
    answer = site.ask(f"/runs/r1/{way}?path={spelled}")
    for secret in (b"root:", b"of another run", b"outside\n"):
        assert secret not in answer.content
    inside = spelling in ("folder", "") or (way != "raw" and spelling.strip("/") in ("", "folder"))
    if not inside:
        assert answer.status_code == 404, answer.text


def test_a_link_that_leads_out_is_not_followed(site):
    folder = site.store.artifact_path("r1", "table.csv").parent
    os.symlink("/etc/passwd", folder / "link.txt")
    os.symlink(folder.parent / "r2", folder / "neighbour")
    os.mkfifo(folder / "pipe")
    try:
        for path in ("link.txt", "neighbour/secret.txt", "pipe"):
            for way in ("raw", "files.json"):
                answer = site.ask(f"/runs/r1/{way}?path={path}")
                assert b"root:" not in answer.content
                assert b"of another run" not in answer.content
                assert answer.status_code == 404 or answer.json()["file"]["preview"]["kind"] == "none"
        archive = site.ask("/runs/r1/archive")
        assert b"root:" not in archive.content
        assert b"of another run" not in archive.content
    finally:
        for name in ("link.txt", "neighbour", "pipe"):
            (folder / name).unlink()


def test_another_runs_id_gives_no_way_out(site):
    for run_id in ("..", "%2e%2e", "..%2fr1", "r1%2f..%2fr2", "%2fetc"):
        answer = site.ask(f"/runs/{run_id}/raw?path=passwd")
        assert answer.status_code in (404, 405)
        assert b"root:" not in answer.content


def test_a_folder_comes_as_an_archive(site):
    answer = site.ask("/runs/r1/archive?path=folder")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "folder/inner/deep.txt": FILES["folder/inner/deep.txt"]
        }
    with zipfile.ZipFile(io.BytesIO(site.ask("/runs/r1/archive").content)) as whole:
        assert set(FILES) <= set(whole.namelist())


@pytest.mark.parametrize(
    "name", [name for name in HOSTILE if "/" not in name and "\0" not in name and "\ud800" not in name]
)
def test_hostile_names_are_names(site, tmp_path, name):
    put_file(site.store, "r1", f"names/{name}", b"text", tmp_path)
    answer = raw(site, f"names/{name}")
    assert answer.content == b"text"
    assert answer.headers["content-disposition"].count('"') == 2
    assert "<script>alert" not in site.page("/runs/r1/files?path=names")


def test_a_file_that_is_not_there_says_so(site):
    assert "no file" in site.page("/runs/r1/files?path=none.txt", 404)
