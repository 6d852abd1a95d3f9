"""What the workers of the server count, see `autotrack.web.board`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from autotrack.web.board import Layout, SharedRows, exposition

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from autotrack.server.routing import Endpoint

MOST_ENDPOINTS: Final = 512
"""Endpoints that are told apart. The memory is shared before the rooms are imported that have them; those beyond, and
whatever is asked for that no endpoint answers, count as one: nobody can make series of his own."""
STATUSES: Final = (200, 201, 204, 206, 302, 304, 400, 401, 403, 404, 405, 408, 409, 413, 416, 429, 500, 503, 0)
"""Values of the label ``status``; 0 stands for any other."""
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
EVENTS: Final = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0)

_STATUS: Final = {status: index for index, status in enumerate(STATUSES)}
_LAYOUT: Final = Layout()
_IN_FLIGHT: Final = _LAYOUT.place()
_RESTARTS: Final = _LAYOUT.place()
_READY: Final = _LAYOUT.place()
_REFUSED: Final = _LAYOUT.place()
_RECEIVED: Final = _LAYOUT.place()
_SENT: Final = _LAYOUT.place()
_WRITES: Final = _LAYOUT.place()
_WRITES_FAILED: Final = _LAYOUT.place()
_BATCH_EVENTS: Final = _LAYOUT.histogram(EVENTS)
_BATCH_SECONDS: Final = _LAYOUT.histogram(SECONDS)
_REQUESTS: Final = _LAYOUT.place((MOST_ENDPOINTS + 1) * len(STATUSES))
_LATENCY: Final = _LAYOUT.histogram(SECONDS, MOST_ENDPOINTS + 1)


class Counters:
    """The row of one worker. Its event loop writes to it, and its writer's thread to places of its own."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def begin(self) -> None:
        """A request has come."""
        self._row[_IN_FLIGHT] += 1

    def end(self, endpoint: int | None, status: int, seconds: float, received: int, sent: int) -> None:
        """It was answered.

        Parameters
        ----------
        endpoint : its place among the application's; ``None`` for none.
        status : 0 where the client was gone before.
        received, sent : bytes of the bodies.
        """
        row = self._row
        which = endpoint if endpoint is not None and endpoint < MOST_ENDPOINTS else MOST_ENDPOINTS
        row[_IN_FLIGHT] -= 1
        row[_RECEIVED] += received
        row[_SENT] += sent
        row[_REQUESTS + which * len(STATUSES) + _STATUS.get(status, len(STATUSES) - 1)] += 1
        _LATENCY.observe(row, seconds, which)

    def refused(self) -> None:
        """Somebody showed a token that is none."""
        self._row[_REFUSED] += 1

    def wrote(self, requests: int, events: int, seconds: float) -> None:
        """The writer has put a batch into the store."""
        self._row[_WRITES] += requests
        _BATCH_EVENTS.observe(self._row, events)
        _BATCH_SECONDS.observe(self._row, seconds)

    def write_failed(self) -> None:
        """What one request writes could not be stored."""
        self._row[_WRITES_FAILED] += 1

    def started(self) -> None:
        """The worker answers from now on; what one before it had in flight is lost."""
        self._row[_IN_FLIGHT] = 0
        self._row[_READY] = 1

    def died(self) -> None:
        """The worker is gone, and another will take its place."""
        self._row[_IN_FLIGHT] = 0
        self._row[_READY] = 0
        self._row[_RESTARTS] += 1


class Board:
    """The rows of all workers."""

    def __init__(self, workers: int) -> None:
        self._rows = SharedRows(_LAYOUT, workers)

    def of(self, worker: int) -> Counters:
        """The row of one worker."""
        return Counters(self._rows[worker])

    def text(self, endpoints: Sequence[Endpoint], accept: str = "") -> tuple[bytes, str]:
        """What all workers have counted, in Prometheus' text format, and its content type.

        Parameters
        ----------
        endpoints : the application's, in their order.
        accept : the request's header.
        """
        return exposition(lambda: self._collect(endpoints), accept)

    def _collect(self, endpoints: Sequence[Endpoint]) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        total = self._rows.total()
        labels = [(endpoint.method, endpoint.path) for endpoint in endpoints[:MOST_ENDPOINTS]]
        used = {MOST_ENDPOINTS: ("other", "other")} | dict(enumerate(labels))
        requests = CounterMetricFamily(
            "autotrack_requests", "Requests that were answered.", labels=["method", "route", "status"]
        )
        seconds = HistogramMetricFamily(
            "autotrack_request_seconds",
            "From a request's headers to the end of its answer.",
            labels=["method", "route"],
        )
        for which, (method, path) in used.items():
            start = _REQUESTS + which * len(STATUSES)
            counts = total[start : start + len(STATUSES)]
            for status, count in zip(STATUSES, counts):
                if count:
                    requests.add_metric([method, path, str(status) if status else "other"], count)
            if any(counts):
                buckets, whole = _LATENCY.buckets(total, which)
                seconds.add_metric([method, path], buckets=buckets, sum_value=whole)
        yield requests
        yield seconds
        yield GaugeMetricFamily(
            "autotrack_requests_in_flight", "Requests that wait for their answer.", value=total[_IN_FLIGHT]
        )
        yield CounterMetricFamily("autotrack_received_bytes", "Bytes of requests' bodies.", value=total[_RECEIVED])
        yield CounterMetricFamily("autotrack_sent_bytes", "Bytes of answers' bodies.", value=total[_SENT])
        yield CounterMetricFamily(
            "autotrack_refused_tokens", "Requests that showed a token that is none.", value=total[_REFUSED]
        )
        yield CounterMetricFamily("autotrack_writes", "Requests whose events are in the store.", value=total[_WRITES])
        yield CounterMetricFamily(
            "autotrack_writes_failed", "Requests whose events could not be stored.", value=total[_WRITES_FAILED]
        )
        for name, text, histogram in (
            ("autotrack_batch_events", "Events that were put into the store at once.", _BATCH_EVENTS),
            ("autotrack_batch_seconds", "Time to put a batch into the store.", _BATCH_SECONDS),
        ):
            buckets, whole = histogram.buckets(total)
            yield HistogramMetricFamily(name, text, buckets=buckets, sum_value=whole)
        yield GaugeMetricFamily("autotrack_workers", "Workers that answer.", value=total[_READY])
        yield CounterMetricFamily(
            "autotrack_worker_restarts", "Workers that died and were replaced.", value=total[_RESTARTS]
        )
