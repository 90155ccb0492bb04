"""How often the interval of a preference study holds the true ratio, over simulated studies of known preference.

    python benchmarks/study_coverage.py [--studies 1000] [--raters 3]

Raters of a case see the same difference, through a glass of their own: each says what the case is with probability
AGREE, else anything. The truth is the ratio of majority verdicts over a million such cases. Aim: 93 to 97 of 100.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from pipelines.preference.gsb import VERDICTS, Verdict, majority, ratio_interval, tally

PREFERENCES = ((0.40, 0.20, 0.40), (0.50, 0.30, 0.20), (0.75, 0.15, 0.10), (0.33, 0.34, 0.33), (0.20, 0.30, 0.50))
AGREE = 0.7


def verdicts(rng: np.random.Generator, preference: tuple[float, ...], cases: int, raters: int) -> list[Verdict]:
    is_N = rng.choice(3, cases, p=preference)
    said_NR = np.where(rng.random((cases, raters)) < AGREE, is_N[:, None], rng.integers(0, 3, (cases, raters)))
    counted = [majority([VERDICTS[said] for said in said_R]) for said_R in said_NR]
    return [verdict for verdict in counted if verdict is not None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--raters", type=int, default=3)
    parser.add_argument("--cases", type=int, nargs="+", default=[150, 30])
    args = parser.parse_args()
    print("preference (G, S, B) | true ratio | cases | interval holds it")
    for preference in PREFERENCES:
        truth = tally(verdicts(np.random.default_rng(1), preference, 1_000_000, args.raters)).ratio
        for cases in args.cases:
            rng, held = np.random.default_rng(2), 0
            for study in range(args.studies):
                counted = tally(verdicts(rng, preference, cases, args.raters))
                interval = ratio_interval(counted, draws=2000, seed=study)
                held += interval.low <= truth <= interval.high
            print(f"{preference} | {truth:.3f} | {cases} | {held / args.studies:.1%}", flush=True)
    same = [tally(verdicts(np.random.default_rng(s), (0.0, 1.0, 0.0), 150, args.raters)).ratio for s in range(100)]
    print(f"same against same, 100 studies: ratio {min(same):.2f} to {max(same):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
