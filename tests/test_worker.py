"""The background thread does what waits for a while: by itself, or at once where somebody waits for it."""

from __future__ import annotations

import threading

from autotrack.capture.worker import Worker


def test_a_delayed_task_is_done_by_itself_and_after_those_that_are_due():
    worker, done, order = Worker(), threading.Event(), []

    def last() -> None:
        order.append("delayed")
        done.set()

    worker.submit(last, delay=0.05)
    worker.submit(lambda: order.append("at once"))
    assert done.wait(30)
    assert order == ["at once", "delayed"]


def test_waiting_for_the_worker_brings_delayed_tasks_forward():
    worker, order = Worker(), []
    worker.submit(lambda: order.append(1), delay=3600)
    worker.submit(lambda: order.append(2), delay=1800)
    assert worker.drain(30)
    assert sorted(order) == [1, 2]
    assert worker.drain(0)


def test_tasks_that_delayed_tasks_bring_are_waited_for_too():
    worker, order = Worker(), []
    worker.submit(lambda: worker.submit(lambda: order.append("second"), delay=3600), delay=3600)
    assert worker.drain(30)
    assert order == ["second"]


def test_tasks_that_can_wait_wait_as_long_as_more_of_them_come():
    worker, done, order = Worker(), threading.Event(), []
    worker.submit(lambda: order.append("first"), delay=0.01)
    worker.submit(done.set, delay=3600)
    assert not done.wait(0.2)
    assert order == []
    assert worker.drain(30)
    assert order == ["first"]


def test_of_many_tasks_that_wait_the_oldest_is_done_by_whoever_brings_another():
    worker, order = Worker(), []
    here = threading.current_thread()
    for number in range(70):
        worker.submit(lambda number=number: order.append((number, threading.current_thread() is here)), delay=3600)
    assert order == [(number, True) for number in range(6)]
    assert worker.drain(30)
    assert [number for number, _ in order] == list(range(70))
