"""``autotrack run``: a script with autologging on, and no line in it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, NoReturn

import click

# Not `-m autotrack.bootstrap`: that would search the current folder for modules before the script's own folder is put
# in its place, and a `types.py` lying there would break what `python folder/script.py` runs.
_BOOTSTRAP = "import sys; sys.flags.safe_path or sys.path.pop(0); from autotrack.bootstrap import main; main()"


class ScriptCommand(click.Command):
    """Leaves everything behind SCRIPT, or behind ``-m MODULE``, to the script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        taking = {name for option in self.params if isinstance(option, click.Option) for name in option.opts}
        taking -= {"-m"}
        index = 0
        while index < len(args):
            argument = args[index]
            if argument == "-m" or (argument.startswith("-m") and not argument.startswith("--")):
                module = [argument[2:]] if len(argument) > 2 else args[index + 1 : index + 2]
                rest = args[index + (1 if len(argument) > 2 else 2) :]
                return super().parse_args(ctx, [*args[:index], "-m", *module, *(["--", *rest] if module else [])])
            if argument == "--" or not argument.startswith("-"):
                break
            index += 2 if argument in taking else 1
        return super().parse_args(ctx, args)


@click.command(
    cls=ScriptCommand,
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    options_metavar="[--store URI] [--experiment NAME]",
    short_help="Run a script with autologging on.",
)
@click.option("--store", metavar="URI", help="Where to record: a folder or a URI. [default: the nearest .autotrack]")
@click.option("--experiment", metavar="NAME", help="Experiment that the runs belong to. [default: Default]")
@click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does; ends the options.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="SCRIPT [ARG]...")
def run(store: str | None, experiment: str | None, module: str | None, arguments: tuple[str, ...]) -> None:
    """Run a Python script as `python SCRIPT ARG...` would, with every scikit-learn fit in it recorded.

    The script needs no line about logging. Everything behind SCRIPT goes to the script as it is, options too.

    \b
    Examples:
      autotrack run train.py
      autotrack run --experiment diabetes train.py --alpha 0.1 --help
      autotrack run --store ./my-runs -m mypackage.train 0.1
      python -X dev -m autotrack run train.py      # interpreter options
    """
    if module is None and not arguments:
        raise click.UsageError("which script? For example: autotrack run train.py")
    environment = dict(os.environ)
    if store is not None:
        from autotrack import settings

        with settings.use_store(store):  # a relative folder means the one here, wherever the script goes
            environment["AUTOTRACK_STORE"] = settings.store_uri()
    if experiment is not None:
        environment["AUTOTRACK_EXPERIMENT"] = experiment
    program = ["-m", module, *arguments] if module is not None else list(arguments)
    _become([sys.executable, *_interpreter_flags(), "-c", _BOOTSTRAP, *program], environment)


def _interpreter_flags() -> list[str]:
    # What multiprocessing gives its children: -O, -W, -X, -I … as this interpreter was started with.
    flags: Any = getattr(subprocess, "_args_from_interpreter_flags", list)
    return list(flags())


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execve(command[0], command, environment)
    # Windows' exec gives the prompt back at once: wait, and leave Ctrl-C to the script.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)
