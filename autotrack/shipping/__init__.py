"""Sending what waits in a spool to its store.

`autotrack.shipping.process` is a process of its own, one per spool, that the writing half starts and that outlives the
script; ``autotrack sync`` does the same work in the foreground.
"""
