"""Curation and annotation from bucket to bucket, through a store that fails, against the same between folders.

    python benchmarks/bucket_chain.py ../shared/clips --output FOLDER [--failing 0.1] [--seed 0] [--recipe default]

The store is an S3 server on loopback; a proxy before it answers 500 or cuts the body off at that share of the requests.
From the bucket Ray runs, from the folder the local runner. Every row of every table and every member of every shard
must be the same bytes, once URIs, and the ids made of them, are put in each other's place. Splits, which ids draw, are
stated in the manifest. Prints requests, faults and what differs.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import sys
from collections import Counter
from pathlib import Path

from benchmarks.ray_nodes import TABLES, called, chain
from curation.probe import video_id_of
from tests.object_store import object_store, shard_members, table_rows


def with_splits(footage: Path, folder: Path) -> list[Path]:
    """Links to the footage, beside its manifest with a split for every file. Returns: all files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in footage.iterdir():
        target = folder / path.name
        if path.is_file() and not target.exists() and path.name != "manifest.csv":
            os.link(path, target)
    with (footage / "manifest.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    names = {row["file"] for row in rows}
    others = [{"file": path.name} for path in folder.iterdir() if path.suffix != ".csv" and path.name not in names]
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, [*rows[0], "split"])
        writer.writeheader()
        writer.writerows({**row, "split": "train"} for row in (*rows, *others))
    return sorted(folder.iterdir())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("footage", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--failing", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    # A line for every request of the server's.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    recipe = ["--recipe", args.recipe, *(word for each in args.set for word in ("--set", each))]
    folder = (args.output / "footage").resolve()
    files = with_splits(args.footage, folder)
    here = args.output.resolve() / "here"
    print(f"folder to folder: {sum(map(called, chain(folder, here, 'local', recipe))):.0f} s", flush=True)
    with object_store(("footage", "results"), failing=args.failing, seed=args.seed) as store:
        for path in files:
            store.put("footage", path.name, path.read_bytes())
        seconds = sum(map(called, chain("s3://footage", "s3://results", "ray", recipe)))
        print(f"bucket to bucket: {seconds:.0f} s, {store.requests} requests, faults {dict(store.faults)}", flush=True)
        names = {}
        for path in files:
            uri = f"s3://footage/{path.name}"
            names.update({video_id_of(uri): video_id_of(str(path)), uri: str(path)})
        # The longest first: a name may begin as another does.
        names = dict(sorted(names.items(), key=lambda each: -len(each[0])))
        compared, differing = 0, []
        for table in TABLES:
            rows = [row for path in (here / "run" / table).iterdir() for row in table_rows(path.read_bytes(), {})]
            keys = [key for key in store.keys("results", f"run/{table}/") if key.endswith(".parquet")]
            found = [row for key in keys for row in table_rows(store.get("results", key), names)]
            compared += len(rows)
            if Counter(rows) != Counter(found):
                differing.append(table)
        members: dict[str, str] = {}
        for path in (here / "dataset" / "shards").iterdir():
            members.update(shard_members(path.read_bytes(), {}))
        there: dict[str, str] = {}
        for key in store.keys("results", "dataset/shards/"):
            if key.endswith(".tar"):
                there.update(shard_members(store.get("results", key), names))
        differing += sorted(name for name in members.keys() | there.keys() if members.get(name) != there.get(name))
    print(f"{compared} rows and {len(members)} members, {len(differing)} differ {differing[:5]}")
    return 0 if not differing else 1


if __name__ == "__main__":
    sys.exit(main())
