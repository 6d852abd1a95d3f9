"""A fuzzer for what reads text of anybody's: filters, orders, journal files, events.

``python -m benchmarks.fuzz --inputs 1000000 --seed 0`` feeds it that many inputs, made from valid ones by mutation and
from the grammar. An input must come to a result or to an error of ours; anything else is a finding, is printed with the
input, and makes the exit code 1. One seed always makes the same inputs.
"""
