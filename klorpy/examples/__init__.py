"""Choreographies to read, run and change: one idea a file.

Start with `simple`, `share` and `bookseller`. Each file is a module, `from klorpy.examples import bookseller`, and
`references` says what each of its choreographies computes.
"""
