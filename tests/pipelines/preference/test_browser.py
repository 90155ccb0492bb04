"""The real page in a real browser: three raters by keyboard, a reload, a server that is killed, the table by hand."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.preference.plan import Item, Study
from pipelines.web.closed import CSP
from tests.conftest import REPOSITORY
from tests.pipelines.preference.studies import NAMES, PROMPT, made_study

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
KEY_OF = {"left": "1", "same": "2", "right": "3"}
OTHER = {"left": "right", "right": "left"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt install chromium)"),
]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the link that it prints."""
    command = [sys.executable, "-m", "pipelines.study", "serve", str(folder)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("raters open http://127.0.0.1:"), process.stderr.read() if process.stderr else line
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def until(page: Any, expression: str, at_most_s: float = 30.0) -> None:
    """Playwright's own waiting evaluates strings in the page, which the page's policy forbids."""
    ends_s = time.monotonic() + at_most_s
    while not page.evaluate(expression):
        assert time.monotonic() < ends_s, expression
        time.sleep(0.05)


class Rater:
    """One browser profile. Its answers: ours, theirs or no difference, by item."""

    def __init__(self, browser: Any, name: str, link: str, study: Study) -> None:
        self.name, self.study = name, study
        self.errors: list[str] = []
        self.page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(link)
        self.page.fill("#rater", name)
        self.page.keyboard.press("Enter")

    def item(self, done: int) -> Item:
        """The next item, once the page shows it."""
        total = len(self.study.items)
        until(self.page, f"document.getElementById('count').textContent === '{done + 1} of {total}'")
        self.page.wait_for_selector("#compare:not([hidden])")
        return self.study.order(self.name)[done]

    def key(self, item: Item, answer: str) -> str:
        ours = self.study.our_side(self.name, item)
        return KEY_OF[{"ours": ours, "theirs": OTHER[ours], "same": "same"}[answer]]

    def answer(self, item: Item, answers: list[str]) -> None:
        for answer in answers:
            self.page.keyboard.press(self.key(item, answer))


def wanted(rater: str, item: Item) -> str:
    """What each of the three thinks."""
    if item.kind != "case":
        return "same" if item.kind == "identical" else "ours"
    number = int(item.case_id.split("-")[1])
    return {"ann": "ours", "ben": "ours" if number < 2 else "same", "cem": "theirs"}[rater]


def test_three_raters_a_reload_and_a_killed_server(browser: Any, tmp_path: Path, capsys: Any) -> None:
    study = made_study(tmp_path, cases=4)
    folder = tmp_path / "study"
    total = len(study.items)
    with served(folder) as (process, link):
        port = link.split(":")[2].split("/")[0]
        raters = [Rater(browser, name, link, study) for name in ("ann", "ben", "cem")]
        ann = raters[0]
        for done in range(2):
            for rater in raters:
                item = rater.item(done)
                rater.answer(item, [wanted(rater.name, item)] * 6)
                rater.page.keyboard.press("Enter")
        # Half of an item, then the page is loaded again: what was answered is still there.
        item = ann.item(2)
        assert ann.page.url == f"http://127.0.0.1:{port}/", "no secret in the address bar"
        assert ann.page.text_content("#prompt") == PROMPT
        ann.answer(item, [wanted("ann", item)] * 3)
        ann.page.reload()
        ann.item(2)
        assert ann.page.locator("button[aria-pressed=true]").count() == 3
        assert not [text for rater in raters for text in rater.errors]
        # The server is killed; the vote is given nevertheless.
        ann.page.evaluate("window.scrollTo(0, 0)")
        process.kill()
        process.wait()
        ann.answer(item, [wanted("ann", item)] * 3)
        ann.page.keyboard.press("Enter")
        until(ann.page, "document.getElementById('status').classList.contains('error')")
    with served(folder) as (_, again):
        assert f":{port}/" in again, "where the pages look for it"
        for rater in raters:
            rater.item(2 + (rater is ann))
            rater.errors.clear()
        for done in range(2, total):
            for rater in raters:
                if rater is ann and done == 2:
                    continue
                item = rater.item(done)
                rater.answer(item, [wanted(rater.name, item)] * 6)
                rater.page.keyboard.press("Enter")
        for rater in raters:
            rater.page.wait_for_selector("#finished:not([hidden])")
            assert rater.errors == []
        assert main(["study", "report", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    # ann: ours; cem: theirs; ben: ours in cases 0 and 1, no difference in 2 and 3. Two Good, two without a majority.
    for row in document["dimensions"]:
        assert (row["good"], row["same"], row["bad"], row["ratio"]) == (2, 2, 0, 2.0)
    assert [each["votes"] for each in document["raters"]] == [4, 4, 4]
    assert all(each["attentive"] for each in document["raters"])
    assert list(NAMES) == [row["dimension"] for row in document["dimensions"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_plays(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    study = made_study(tmp_path, cases=3)
    with served(tmp_path / "study") as (_, link):
        errors: list[str] = []
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        answer = page.goto(link)
        assert answer.headers["content-security-policy"] == CSP
        page.fill("#rater", "ann")
        page.click("text=Begin")
        until(page, "document.getElementById('left').currentTime > 0.2")
        apart_s = page.evaluate(
            "Math.max(...[1,2,3,4,5].map(() => Math.abs(document.getElementById('left').currentTime"
            " - document.getElementById('right').currentTime)))"
        )
        assert apart_s < 0.125, "within a frame of the eight a second"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("p")
        assert page.is_visible("text=Paused")
        page.click("#resume")
        page.keyboard.press(" ")
        until(page, "document.getElementById('left').paused && document.getElementById('right').paused")
        # With the mouse, and back with the arrow.
        page.click(f"button[data-question={NAMES[0]}][data-side=left]")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowDown")
        pressed = page.locator("button[aria-pressed=true]")
        assert pressed.count() == 1
        assert pressed.get_attribute("data-side") == "same"
        assert page.is_disabled("#store")
        assert errors == []
        page.screenshot(path=str(tmp_path / f"{width}-{scheme}.png"), full_page=True)
        assert len(study.items) == 5
        context.close()


def test_a_second_server_says_so_and_stops(tmp_path: Path) -> None:
    made_study(tmp_path, cases=2)
    with served(tmp_path / "study"):
        command = [sys.executable, "-m", "pipelines.study", "serve", str(tmp_path / "study")]
        second = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert "study serve" in second.stderr
    assert second.stdout == ""
