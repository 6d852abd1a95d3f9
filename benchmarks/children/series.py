"""``python -m benchmarks.children.series VARIANT N``: N small fits in a row, as a script's loop would do them."""

from __future__ import annotations

import sys
import time

from benchmarks import cases, variants
from benchmarks.children.answers import open_answers


def main() -> None:
    answer = open_answers()
    variants.switch_on(variants.by_name(sys.argv[1]))
    prepare, X, y = cases.logistic_iris()
    seconds = []
    for _ in range(int(sys.argv[2])):
        fit = prepare()
        started = time.perf_counter()
        fit(X, y)
        seconds.append(time.perf_counter() - started)
    answer({"seconds": seconds})


if __name__ == "__main__":
    main()
