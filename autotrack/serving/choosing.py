"""Which columns of a file go to the model, and which stand beside the predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from autotrack.serving.forms import INPUTS, INSTANCES, RECORDS, SPLIT
from autotrack.serving.problems import BadInput, name_list
from autotrack.serving.schema import InputSchema

_HOW: Final = (
    'columns can be kept of records, as in [{"name": value}, …], and of {"columns": […], "data": [[…]]}, not of other '
    "forms of JSON"
)


class Split(NamedTuple):
    """The places of the columns that the model gets, and of those that are kept."""

    model: list[int]
    kept: list[int]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is done with a file's columns. True where anything is to be done beyond handing all to the model.

    Parameters
    ----------
    keep : names of columns that stand beside the predictions. One that the model does not know does not go there.
    keep_all : the same for all columns.
    ignore_unknown : columns that the model does not know are passed over; else they are an error.
    """

    keep: tuple[str, ...] = ()
    keep_all: bool = False
    ignore_unknown: bool = False

    def __bool__(self) -> bool:
        return bool(self.keep) or self.keep_all or self.ignore_unknown

    def check(self, names: Sequence[str]) -> None:
        """Raise where a column that is to be kept is not there, or there twice.

        Raises
        ------
        BadInput
            ``missing_column`` or ``duplicate_column``.
        """
        if missing := [name for name in self.keep if name not in names]:
            raise BadInput(
                "missing_column",
                f"the input lacks columns that are to be kept: {name_list(missing)}; it has {name_list(names)}",
                columns=missing,
            )
        if len(set(names)) < len(names):
            twice = [name for name, count in Counter(names).items() if count > 1]
            raise BadInput("duplicate_column", f"columns are named twice: {name_list(twice)}", columns=twice)

    def places(self, names: Sequence[str], schema: InputSchema) -> Split:
        """Where the columns go."""
        kept = [place for place, name in enumerate(names) if self.keep_all or name in self.keep]
        known = schema.places if schema.named else {}
        if known and (not schema.flat or any(name in known for name in names)):
            goes = [
                place
                for place, name in enumerate(names)
                if name in known or not (self.ignore_unknown or self.keep_all or name in self.keep)
            ]
        elif schema.width in (len(names), None) and not (schema.width is None and self.keep):
            goes = list(range(len(names)))
        else:  # columns by position: those that are kept by name are none of them
            goes = [place for place, name in enumerate(names) if name not in self.keep]
        return Split(goes, kept)

    def split_records(
        self, records: Sequence[Any], schema: InputSchema, *, is_first: bool
    ) -> tuple[list[Any], dict[str, list[Any]]]:
        """Records for the model, and the columns that are kept; ``None`` where a record does not have one.

        Parameters
        ----------
        is_first : whether these are the first of the file, which have to show the columns that are to be kept.

        Raises
        ------
        BadInput
            ``unknown_form`` for rows without names; ``missing_column`` for a column that none of them has.
        """
        row = next((row for row, record in enumerate(records) if type(record) is not dict), None)
        if row is not None:
            raise BadInput("unknown_form", f"row {row} (counted from 0) has no names: {_HOW}", row=row)
        names = list(dict.fromkeys(name for record in records for name in record))
        if is_first:
            self.check(names)
        else:
            names += [name for name in self.keep if name not in names]
        split = self.places(names, schema)
        kept = {names[place]: [record.get(names[place]) for record in records] for place in split.kept}
        if len(split.model) == len(names):
            return list(records), kept
        goes = {names[place] for place in split.model}
        return [{name: value for name, value in record.items() if name in goes} for record in records], kept

    def records_of(self, document: Any) -> tuple[list[Any], dict[str, Any]]:
        """A JSON document as records, and its params.

        Raises
        ------
        BadInput
            ``unknown_form``.
        """
        params: dict[str, Any] = {}
        if type(document) is dict:
            given = document.get("params")
            params = given if type(given) is dict else {}
            for form in (RECORDS, INSTANCES, INPUTS, SPLIT):
                if form in document:
                    document = document[form]
                    break
        if type(document) is dict:
            names, rows = document.get("columns"), document.get("data")
            if type(names) is not list or type(rows) is not list:
                raise BadInput("unknown_form", _HOW)
            records: list[Any] = []
            for number, row in enumerate(rows):
                if type(row) is not list or len(row) != len(names):
                    message = f"row {number} (counted from 0) is no list of {len(names)} values"
                    raise BadInput("ragged_rows", message, row=number)
                records.append({str(name): value for name, value in zip(names, row)})
            document = records
        if type(document) is not list:
            raise BadInput("unknown_form", _HOW)
        if not document:
            raise BadInput("empty", "the input has no rows")
        return document, params
