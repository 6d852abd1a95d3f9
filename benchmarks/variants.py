"""What is compared: the same program alone, with autotrack, and with MLflow's autolog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run a program.

    Parameters
    ----------
    name : as it stands in the results.
    library : what is switched on: ``"autotrack"``, ``"mlflow"`` or nothing.
    model : whether the fitted model is logged.
    store : the URI of autotrack's store; empty for a folder.
    """

    name: str
    library: str = ""
    model: bool = False
    store: str = ""

    @property
    def switch_on_code(self) -> str:
        """The lines that a user would add to a script."""
        match self.library:
            case "autotrack":
                options = ["log_models=False"] * (not self.model) + [f"store={self.store!r}"] * bool(self.store)
                return f"import autotrack; autotrack.autolog({', '.join(options)})"
            case "mlflow":
                return f"import mlflow; mlflow.sklearn.autolog({'' if self.model else 'log_models=False'})"
            case _:
                return ""


BARE: Final = Variant("bare")
AUTOTRACK: Final = Variant("autotrack", "autotrack", True)
AUTOTRACK_NO_MODEL: Final = Variant("autotrack-no-model", "autotrack")
MLFLOW: Final = Variant("mlflow", "mlflow", True)
MLFLOW_NO_MODEL: Final = Variant("mlflow-no-model", "mlflow")

SHIPPED: Final = Variant("autotrack-shipped", "autotrack", True, "sqlite:///runs.db")
STORE_DOWN: Final = Variant("autotrack-store-down", "autotrack", True, "postgresql://nobody@127.0.0.1:1/runs")

ALL: Final = (BARE, AUTOTRACK, AUTOTRACK_NO_MODEL, MLFLOW, MLFLOW_NO_MODEL)
WITH_MODEL: Final = (BARE, AUTOTRACK, MLFLOW)
SHIPPING: Final = (BARE, AUTOTRACK, SHIPPED, STORE_DOWN)
EVERY: Final = (*ALL, SHIPPED, STORE_DOWN)

SPOOL: Final = "spool"
"""The folder in a variant's own, in which its runs wait for their store."""


def by_name(name: str) -> Variant:
    """The variant of this name."""
    return next(variant for variant in EVERY if variant.name == name)


# What follows runs in the measured processes.


def switch_on(variant: Variant) -> None:
    """Do what the user's added line does."""
    exec(variant.switch_on_code, {})


def settle(variant: Variant) -> None:
    """Wait until nothing goes on in the background."""
    if variant.library == "autotrack":
        import autotrack

        autotrack.flush()


def recorded_runs(variant: Variant) -> int:
    """How many runs stand in the store: proof that what was timed was also done."""
    match variant.library:
        case "autotrack":
            import autotrack

            return len(autotrack.search_runs())
        case "mlflow":
            import mlflow

            return len(mlflow.search_runs(max_results=10_000))
        case _:
            return 0
