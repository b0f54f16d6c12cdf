"""The conservation test: load with faults at random moments, then the books: nothing lost, nothing doubled, in order.

`make crash SEEDS=50`, or `python -m tests.crash --help`. The words of a fault stand in `plan`, what must hold in
`books`, what the books are made of in `evidence`.
"""
