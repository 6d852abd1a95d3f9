"""A store of a third party's, ``awkward:FOLDER``, that can be told to fail, to hang, or to kill whoever uses it.

It keeps runs in ``FOLDER/store``, as a folder store does. Files in ``FOLDER`` tell it what to do:

- ``down``: whatever it is asked raises, with the file's text.
- ``hang``: whatever it is asked waits until the file is gone.
- ``slow``: each `apply` takes so many seconds.
- ``read-only``: whatever is to be written is refused.
- ``poison``: an entry whose JSON has the file's text in it is refused, with its whole batch.
- ``run-first``: files are refused for runs that it does not know.
- ``password``: the URI must have it, as ``?password=…``.
- ``die``: one line, ``PLACE N``: the process ends at once the Nth time from now that it comes to this place, which is
  ``put``, ``before`` or ``after`` (`apply`).
"""

import json
import os
import time
from pathlib import Path

from autotrack.errors import StoreError
from autotrack.events import to_json
from autotrack.stores.local import LocalStore


def open_uri(uri):
    place, _, query = uri.partition(":")[2].partition("?")
    return AwkwardStore(Path(place), query)


class AwkwardStore(LocalStore):
    def __init__(self, folder, query):
        self.place = folder
        self.query = query
        self._obey()
        super().__init__(folder / "store")

    @property
    def uri(self):
        return f"awkward:{self.place}"

    def apply(self, entries):
        self._obey()
        poison = self._told("poison")
        if self._told("read-only") is not None:
            raise StoreError("this store is read-only")
        if poison is not None and any(poison in json.dumps(to_json(entry.event)) for entry in entries):
            raise StoreError(f"a value with {poison} in it is refused")
        time.sleep(float(self._told("slow") or 0))
        self._maybe_die("before")
        super().apply(entries)
        with (self.place / "calls").open("a") as file:
            file.write(json.dumps([[entry.journal_id, entry.number] for entry in entries]) + "\n")
        self._maybe_die("after")

    def put_artifact(self, run_id, path, source):
        self._obey()
        if self._told("read-only") is not None:
            raise StoreError("this store is read-only")
        if self._told("run-first") is not None:
            super().get_run(run_id)
        super().put_artifact(run_id, path, source)
        self._maybe_die("put")

    def get_run(self, run_id):
        self._obey()
        return super().get_run(run_id)

    def search_runs(self, *args, **keywords):
        self._obey()
        return super().search_runs(*args, **keywords)

    def _obey(self):
        while self._told("hang") is not None:
            time.sleep(0.02)
        down = self._told("down")
        if down is not None:
            raise StoreError(down)
        password = self._told("password")
        if password is not None and f"password={password}" not in self.query:
            raise StoreError(f"the password is wrong in awkward:{self.place}?{self.query}")

    def _maybe_die(self, place):
        told = (self._told("die") or "").split()
        if told and told[0] == place:
            left = int(told[1]) - 1
            if left <= 0:
                (self.place / "die").unlink()
                os._exit(9)
            (self.place / "die").write_text(f"{place} {left}")

    def _told(self, name):
        try:
            return (self.place / name).read_text()
        except FileNotFoundError:
            return None
