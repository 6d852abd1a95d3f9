"""What the workers count, in memory that they share: each writes its own row, whoever is asked adds them up.

A worker that takes the place of one that died goes on with its row, so no counter ever falls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from autotrack.web.board import Histogram, Layout, SharedRows, exposition

if TYPE_CHECKING:
    from prometheus_client.core import Metric

ROUTES: Final = ("/invocations", "/ping", "/health", "/version", "/metrics", "/openapi.json", "/", "other")
"""Values of the label ``route``: whatever else is asked for is ``other``, so that nobody can make series of his own."""
STATUSES: Final = (200, 304, 400, 401, 404, 405, 406, 408, 413, 415, 422, 431, 500, 503, 0)
"""Values of the label ``status``; 0 stands for any other."""

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0)
REQUESTS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

_ROUTE: Final = {route: index for index, route in enumerate(ROUTES)}
_STATUS: Final = {status: index for index, status in enumerate(STATUSES)}

_LAYOUT: Final = Layout()
_IN_FLIGHT: Final = _LAYOUT.place()
_ROWS_TOTAL: Final = _LAYOUT.place()
_RESTARTS: Final = _LAYOUT.place()
_READY: Final = _LAYOUT.place()
_REQUESTS_TOTAL: Final = _LAYOUT.place(len(ROUTES) * len(STATUSES))
_LATENCY: Final = _LAYOUT.histogram(SECONDS)
_PREDICTING: Final = _LAYOUT.histogram(SECONDS)
_BATCH_ROWS: Final = _LAYOUT.histogram(ROWS)
_BATCH_REQUESTS: Final = _LAYOUT.histogram(REQUESTS)


class Counters:
    """The row of one worker. Only its event loop writes to it."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def begin(self) -> None:
        """A request has come."""
        self._values[_IN_FLIGHT] += 1

    def end(self, route: str, status: int, seconds: float) -> None:
        """It was answered, after so many seconds."""
        values = self._values
        values[_IN_FLIGHT] -= 1
        index = _ROUTE.get(route, len(ROUTES) - 1)
        values[_REQUESTS_TOTAL + index * len(STATUSES) + _STATUS.get(status, len(STATUSES) - 1)] += 1
        if index == 0:
            _LATENCY.observe(values, seconds)

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        """The model was called once, for so many requests."""
        self._values[_ROWS_TOTAL] += rows
        _PREDICTING.observe(self._values, seconds)
        _BATCH_ROWS.observe(self._values, rows)
        _BATCH_REQUESTS.observe(self._values, requests)

    def started(self) -> None:
        """The worker answers from now on; what one before it had in flight is lost."""
        self._values[_IN_FLIGHT] = 0
        self._values[_READY] = 1

    def died(self) -> None:
        """The worker is gone, and another will take its place."""
        self._values[_IN_FLIGHT] = 0
        self._values[_READY] = 0
        self._values[_RESTARTS] += 1


class Board:
    """The rows of all workers, in one anonymous piece of memory that forked processes share."""

    def __init__(self, workers: int) -> None:
        self._rows = SharedRows(_LAYOUT, workers)

    def of(self, worker: int) -> Counters:
        """The row of one worker."""
        return Counters(self._rows[worker])

    def text(self, info: Mapping[str, str], accept: str = "") -> tuple[bytes, str]:
        """What all workers have counted, in Prometheus' text format, and its content type.

        Parameters
        ----------
        info : labels of the model.
        accept : the request's header: OpenMetrics for those who ask for it.
        """
        return exposition(lambda: self.collect(info), accept)

    def collect(self, model: Mapping[str, str]) -> Iterator[Metric]:
        """The series."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        total = self._rows.total()
        info = InfoMetricFamily("autotrack_serving_model", "The model that is served.")
        info.add_metric([], dict(model))
        yield info
        requests = CounterMetricFamily(
            "autotrack_serving_requests", "Requests that were answered.", labels=["route", "status"]
        )
        for r, route in enumerate(ROUTES):
            for s, status in enumerate(STATUSES):
                if count := total[_REQUESTS_TOTAL + r * len(STATUSES) + s]:
                    requests.add_metric([route, str(status) if status else "other"], count)
        yield requests
        yield _histogram(
            "autotrack_serving_request_seconds",
            "From a request's headers to the end of its answer, for /invocations.",
            _LATENCY,
            total,
        )
        yield _histogram("autotrack_serving_predict_seconds", "One call of the model.", _PREDICTING, total)
        yield _histogram(
            "autotrack_serving_batch_rows",
            "Rows that one call of the model predicted.",
            _BATCH_ROWS,
            total,
        )
        yield _histogram(
            "autotrack_serving_batch_requests",
            "Requests that one call of the model answered.",
            _BATCH_REQUESTS,
            total,
        )
        yield CounterMetricFamily("autotrack_serving_rows", "Rows that were predicted.", value=total[_ROWS_TOTAL])
        yield GaugeMetricFamily(
            "autotrack_serving_requests_in_flight", "Requests that wait for their answer.", value=total[_IN_FLIGHT]
        )
        yield GaugeMetricFamily("autotrack_serving_workers", "Workers that answer.", value=total[_READY])
        yield CounterMetricFamily(
            "autotrack_serving_worker_restarts", "Workers that died and were replaced.", value=total[_RESTARTS]
        )


def _histogram(name: str, text: str, histogram: Histogram, total: list[float]) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    buckets, whole = histogram.buckets(total)
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=whole)
