"""Sidecars: small files among a run's artifacts that keep its entries whole, whatever MLflow's fields can hold.

``autotrack/<journal>-<first>-<last>.jsonl`` holds the entries of one journal, one line each as in the journal itself,
behind a header. They are uploaded before anything else of a batch. Together they are a set of (journal, number): files
may overlap, and one with more entries may take the place of several.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from autotrack.digests import of_bytes
from autotrack.errors import StoreError
from autotrack.events import Entry, from_json, to_json
from autotrack.stores.mlflow.rest.files import Files

SUFFIX: Final = ".jsonl"
MOST: Final = 50
"""With so many files of one run it is worth to make one of them."""

_ATTEMPTS: Final = 5
_PLAIN: Final = re.compile(r"[\w.\-]{1,100}", re.ASCII)


def name_of(journal_id: str, first: int, last: int) -> str:
    """The name of a sidecar."""
    return f"{plain_name(journal_id)}-{first}-{last}{SUFFIX}"


def plain_name(text: str) -> str:
    """A file's name for any text: the text itself where it can be one, else its hash."""
    if _PLAIN.fullmatch(text) and not text.startswith("."):
        return text
    return "x" + of_bytes(text.encode("utf-8", "surrogatepass"))[7:39]


class Sidecars:
    """The entries in one folder of sidecars, each file read once.

    Parameters
    ----------
    files : where they are.
    folder : its path there.
    """

    def __init__(self, files: Files, folder: str) -> None:
        self._files = files
        self._folder = folder
        self._read: dict[str, tuple[Entry, ...]] = {}
        self._joins = True

    def entries(self) -> list[Entry]:
        """All entries that are there now, each once, in the order of their places.

        Raises
        ------
        StoreError
            When a file cannot be read.
        """
        for _ in range(_ATTEMPTS):
            missed = False
            for found in self._files.listing(self._folder):
                if not found.is_dir and found.path.endswith(SUFFIX) and found.path not in self._read:
                    try:
                        self._read[found.path] = parse(self._files.read(found.path), found.path)
                    except FileNotFoundError:  # another process has just put it into a larger file
                        missed = True
            if not missed:
                break
        return self.known()

    def known(self) -> list[Entry]:
        """The entries that were read or put here."""
        entries = {(e.journal_id, e.number): e for read in self._read.values() for e in read}
        return [entries[place] for place in sorted(entries)]

    def put(self, entries: Sequence[Entry]) -> None:
        """Upload entries, a file for each journal, and join the files when there are many.

        Raises
        ------
        StoreError
            When they cannot be uploaded.
        """
        for journal_id in dict.fromkeys(entry.journal_id for entry in entries):
            self._put([entry for entry in entries if entry.journal_id == journal_id])
        if len(self._read) > MOST and self._joins:
            self._join()

    def _put(self, entries: list[Entry]) -> None:
        path = f"{self._folder}/{name_of(entries[0].journal_id, entries[0].number, entries[-1].number)}"
        self._files.upload(path, render(entries))
        self._read[path] = tuple(entries)

    def _join(self) -> None:
        for journal_id in {entry.journal_id for entry in self.known()}:
            mine = {path: read for path, read in self._read.items() if read and read[0].journal_id == journal_id}
            if len(mine) > 1:
                self._put([entry for entry in self.known() if entry.journal_id == journal_id])
                for path in mine:
                    if self._read.get(path) is mine[path]:
                        try:
                            self._files.delete(path)
                        except StoreError:  # MLflow 2 removes no single files: there are many then
                            self._joins = False
                            return
                        del self._read[path]


def render(entries: Iterable[Entry]) -> bytes:
    """The file for entries of one journal, ordered by number."""
    entries = list(entries)
    lines = [json.dumps({"journal": entries[0].journal_id, "version": 1})]
    lines += [json.dumps({"n": entry.number, **to_json(entry.event)}, separators=(",", ":")) for entry in entries]
    return ("\n".join(lines) + "\n").encode()


def parse(data: bytes, path: str) -> tuple[Entry, ...]:
    """Undo `render`.

    Raises
    ------
    StoreError
        When it cannot be understood.
    """
    try:
        header, *lines = data.splitlines()
        journal_id = str(json.loads(header)["journal"])
        read = [json.loads(line) for line in lines]
        return tuple(Entry(journal_id, int(item["n"]), from_json(item)) for item in read)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: not entries of a run ({type(error).__name__}: {error})") from error
