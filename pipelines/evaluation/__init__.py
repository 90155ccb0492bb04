"""Judging systems on equal cases: a list of cases as data, the outputs of each system beside it."""
