"""Does the viewer stay quick on a dataset of a million samples?

    python benchmarks/viewer_million.py WORK [--samples 1000000]

WORK gets a dataset whose first 200 samples are there (the same tiny clip) and whose others exist in the index and in
the viewer's table alone, with as many columns as real ones have: their pictures are placeholders. The table is written
by the viewer's own code. Then `motionloom shards view DATASET --serve` runs in a process of its own and is asked over
HTTP, each question five times with other values, so that no answer is one of before; where Playwright and Chromium are
there, a page is also loaded in a browser until its sixty cards stand.

It prints how long the table took, the times (median and slowest), and the server's memory.
"""

from __future__ import annotations

import argparse
import http.cookiejar
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

import builders  # noqa: E402

from curation.catalog import score_specs  # noqa: E402
from pipelines.viewer import side_tables  # noqa: E402
from pipelines.viewer.tables import connection, sql_text  # noqa: E402
from schemas.index import INDEX_JSON, INDEX_PARQUET, SAMPLE_COLUMNS, load_samples  # noqa: E402
from schemas.label_quality import LABEL_QUALITY_NAMES  # noqa: E402

REAL = 200
REPEATS = 5
NAMES = {
    "actions": ["walking", "standing", "sitting", "running", "dancing", "moving", "still", "raise_left_hand"],
    "expressions": ["smile", "blink", "mouth_open", "brows_raised"],
    "gestures": ["left_fist", "right_fist", "pointing", "open_hand"],
    "interactions": ["holding cup (left)", "using phone (right)"],
    "camera.moves": ["static", "pan_left", "pan_right", "zoom_in"],
}
WORDS = (
    *("a", "person", "walking", "dancing", "slowly", "quickly", "street", "room", "red", "blue", "green", "smiling"),
    *("turning", "left", "right", "camera"),
)


def made_rows(count: int, first: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows like those that the viewer makes of an index and its JSONs: `first` as they are, the others drawn."""
    draw = random.Random(5)
    numbers = [spec.name for spec in score_specs() if not spec.text] + list(LABEL_QUALITY_NAMES)
    for i in range(count):
        own = first[i] if i < len(first) else {
            "key": f"{i:016x}-00000000-00004000", "shard": f"{i // 1000:06d}.tar", "offset": i % 1000 * 1_000_000,
            "bytes": 1_000_000, "duration_s": 1 + 9 * draw.random(), "width_px": 1280, "height_px": 720, "frames": 100,
            "fps": 25.0, "members": ["json", "mp4"], "sha256": f"{i:064x}",
            "caption": " ".join(draw.choices(WORDS, k=14)),
        }  # fmt: skip
        row = {**own, **{name: draw.random() for name in numbers}, "licence": draw.choice(["CC0", "CC-BY", None])}
        row |= {
            "split": draw.choice(["train", "val"]),
            "shot_scale": draw.choice(["close_up", "full_body", "half_body"]),
        }
        row["caption:lower"] = row["caption"].lower()
        row |= {"uri": f"footage/{i // 7:08d}.mp4", "subject": f"person-{i % 5000}"}
        for field, names in NAMES.items():
            chosen = draw.sample(names, draw.randint(0, 2))
            row |= {field: chosen, f"{field}:confidence": [draw.random() for _ in chosen]}
        yield row


def prepared(work: Path, samples: int) -> tuple[Path, Path]:
    """Dataset and cache. The index's shards are made to agree with the table that the cache then holds."""
    dataset, cache = work / "dataset", work / "cache"
    if (work / f"made-{samples}").is_file():
        return dataset, cache
    shutil.rmtree(work, ignore_errors=True)
    builders.dataset(dataset, n=REAL, samples_per_shard=REAL)
    cache.mkdir()
    first = [{name: entry.row()[name] for name in SAMPLE_COLUMNS.names} for entry in load_samples(dataset)]
    started = time.monotonic()
    table = side_tables.samples_table(dataset, cache)
    print(f"reading the JSON of {REAL} samples: {(time.monotonic() - started) / REAL * 1e6:.0f} us each")
    started = time.monotonic()
    side_tables.write_table(made_rows(samples, first), table)
    print(f"table of {samples} rows: {time.monotonic() - started:.0f} s, {table.stat().st_size >> 20} MiB")
    with connection() as duck:
        columns = ", ".join(f'"{name}"' for name in (*SAMPLE_COLUMNS.names, *LABEL_QUALITY_NAMES))
        duck.execute(
            f"COPY (SELECT {columns} FROM read_parquet({sql_text(table)})) TO {sql_text(dataset / INDEX_PARQUET)}"
        )
    document = json.loads((dataset / INDEX_JSON).read_text())
    (dataset / INDEX_JSON).write_text(json.dumps({**document, "samples": samples}))
    (work / f"made-{samples}").touch()
    return dataset, cache


def questions(draw: random.Random, samples: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Name -> a question with values of its own each time."""

    def filtered(*conditions: list[Any], **more: Any) -> dict[str, Any]:
        return {"filters": json.dumps(conditions), **more}

    part = draw.random
    return {
        "first page": dict,
        "far page": lambda: {"offset": draw.randrange(samples - 60)},
        "one score": lambda: filtered(["quality", ">=", part()]),
        "label with confidence": lambda: filtered(["actions", "has", draw.choice(NAMES["actions"]), part() / 2]),
        "words of the caption": lambda: filtered(["caption", "contains", " ".join(draw.sample(WORDS, 3))]),
        "sorted": lambda: {"sort": draw.choice(["quality", "sharpness", "motion_fluency"]), "descending": "1"},
        "sorted, page 1000": lambda: {"sort": draw.choice(["contrast", "luma_mean"]), "offset": 60_000},
        "all of it": lambda: filtered(
            ["quality", ">=", part() / 2], ["actions", "has", "walking", part() / 2], ["caption", "contains", "red"],
            ["licence", "is", "CC0"], sort="sharpness", descending="1",
        ),
        "finds nothing": lambda: filtered(["quality", ">", 1 + part()]),
    }  # fmt: skip


_PICTURES = """() => [...document.images].filter((image) => image.getBoundingClientRect().top < innerHeight)
  .every((image) => image.complete && image.naturalWidth > 0)"""


class Asking:
    """A browser's session, without the browser."""

    def __init__(self, link: str) -> None:
        self._base = link.split("/?")[0]
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self._opener.open(link).read()

    def seconds(self, path: str, parameters: dict[str, Any]) -> float:
        started = time.monotonic()
        with self._opener.open(f"{self._base}{path}?{urllib.parse.urlencode(parameters)}") as answer:
            answer.read()
        return time.monotonic() - started


def paints_s(link: str) -> tuple[list[float], list[float]] | None:
    """Seconds until sixty cards stand, and until the pictures that are in view do, in new pages of a browser; None
    without one."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    cards, pictures = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(REPEATS):
            page = browser.new_context().new_page()
            started = time.monotonic()
            page.goto(link)
            page.wait_for_selector(".card:nth-child(60)")
            cards.append(time.monotonic() - started)
            while not page.evaluate(_PICTURES):
                time.sleep(0.01)
            pictures.append(time.monotonic() - started)
            page.close()
        browser.close()
    return cards, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--samples", type=int, default=1_000_000)
    args = parser.parse_args()
    dataset, cache = prepared(args.work.resolve(), args.samples)
    command = [sys.executable, "-m", "pipelines.shards", "view", str(dataset), "--serve", "--cache", str(cache)]
    started = time.monotonic()
    server = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        link = server.stdout.readline().split()[-1]
        print(f"until the link is printed: {time.monotonic() - started:.2f} s; memory {memory(server.pid)}")
        asking = Asking(link)
        print(f"{'question':24s} {'page median':>12s} {'slowest':>9s} {'count median':>13s} {'slowest':>9s}")
        for name, question in questions(random.Random(7), args.samples).items():
            times: dict[str, list[float]] = {"page": [], "count": []}
            for _ in range(REPEATS):
                asked = question()
                for what, kept in times.items():
                    kept.append(asking.seconds(f"/api/{what}", asked))
            cells = [f"{pick(times[what]):.3f} s" for what in times for pick in (statistics.median, max)]
            print(f"{name:24s} {cells[0]:>12s} {cells[1]:>9s} {cells[2]:>13s} {cells[3]:>9s}")
        for name, path, asked in (
            ("histogram", "/api/histogram", {"column": "sharpness"}),
            ("values of a label", "/api/values", {"column": "actions"}),
            ("values of a text", "/api/values", {"column": "uri"}),
        ):
            print(f"{name:24s} {asking.seconds(path, asked):>10.3f} s")
        for what, times in zip(("sixty cards", "pictures in view"), paints_s(link) or (), strict=False):
            print(f"{what + ' in a browser':32s} {statistics.median(times):.2f} s, slowest {max(times):.2f} s")
        print(f"server's memory {memory(server.pid)}")
    finally:
        server.terminate()
        server.wait()


def memory(pid: int) -> str:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    sizes = {name: int(lines[name].split()[0]) >> 10 for name in ("VmRSS", "VmHWM")}
    return f"now {sizes['VmRSS']} MiB, at most {sizes['VmHWM']} MiB"


if __name__ == "__main__":
    main()
