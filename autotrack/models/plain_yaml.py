"""YAML that others wrote: plain values only, and no more of them than a description of a model has."""

from __future__ import annotations

from typing import Any, Final

_FEW: Final = 64 * 1024
"""Characters; so many cannot hold too many values, where none is repeated by an alias."""

_MOST_VALUES: Final = 200_000


def parse(text: str) -> Any:
    """The value that a YAML text states. Tags that would make anything but plain values are refused.

    Aliases are counted as what they stand for, so that a text of a few lines cannot unfold to gigabytes.

    Raises
    ------
    ValueError
        When it is not valid YAML, or has more than 200,000 values.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if len(text) > _FEW or "*" in text:
            _count(yaml, loader, text)
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _count(yaml: Any, loader: Any, text: str) -> None:
    aliases = False
    for number, event in enumerate(yaml.parse(text, Loader=loader)):
        aliases = aliases or isinstance(event, yaml.AliasEvent)
        if number >= _MOST_VALUES:
            raise ValueError(f"it has more than {_MOST_VALUES:,} values")
    if aliases:
        root = yaml.compose(text, Loader=loader)
        if root is not None:
            _unfolded(yaml, root, {}, set())


def _unfolded(yaml: Any, node: Any, known: dict[int, int], above: set[int]) -> int:
    """How many values a node stands for when every alias is written out."""
    key = id(node)
    if key in above:
        raise ValueError("a value in it contains itself")
    if key not in known:
        above.add(key)
        count = 1
        if isinstance(node, yaml.MappingNode):
            count += sum(_unfolded(yaml, part, known, above) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            count += sum(_unfolded(yaml, part, known, above) for part in node.value)
        if count > _MOST_VALUES:
            raise ValueError(f"it has more than {_MOST_VALUES:,} values when its aliases are written out")
        above.discard(key)
        known[key] = count
    return known[key]
