"""The real pages in a real browser: found, filtered, played, and what is drawn lies where the picture has it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import builders
from tests.conftest import REPOSITORY

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
pytest.importorskip("duckdb", reason="needs the extra viewer")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt install chromium)"),
]
# The marker: a white disc of 24 px on dark grey that goes 8 px a frame, and up and down.
FRAMES, FPS, SIZE_HW, RADIUS = 60, 25, (240, 640), 12


def marker_xy(t: int) -> tuple[float, float]:
    return 60 + 8.0 * t, 120 + 60 * np.sin(t / 5)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sample whose body track says where the marker is; only the right ankle is sure enough to be drawn."""
    folder = tmp_path_factory.mktemp("marked")
    height, width = SIZE_HW
    y_HW, x_HW = np.mgrid[0:height, 0:width]
    rgb_THWC = np.full((FRAMES, height, width, 3), 30, np.uint8)
    body = builders.body_track(FRAMES, size_hw=SIZE_HW, fps=FPS)
    for t in range(FRAMES):
        x, y = marker_xy(t)
        rgb_THWC[t][(x_HW + 0.5 - x) ** 2 + (y_HW + 0.5 - y) ** 2 <= RADIUS**2] = 255
        body.joints_px_PTJ2[0, t] = (x, y)
    conf_PTJ = np.zeros_like(body.conf_PTJ)
    conf_PTJ[..., 28] = 0.9
    # Frames that the decoder gets in another order than they are shown in.
    options = {"crf": "12", "preset": "medium", "bf": "3"}
    mp4 = builders.write_video(folder / "marker.mp4", rgb_THWC, FPS, options=options).read_bytes()
    members = builders.sample("marker", mp4, FRAMES, SIZE_HW, FPS)
    members = {name: members[name] for name in ("mp4", "json", "txt", "camera.npz")}
    members["body.npz"] = replace(body, conf_PTJ=conf_PTJ).to_npz()
    return builders.dataset_of(folder / "dataset", {"marker": members})


@contextlib.contextmanager
def served(dataset: Path, cache: Path, *options: object) -> Iterator[str]:
    """The command in a process of its own; the link that it prints."""
    command = [sys.executable, "-m", "pipelines.shards", "view", str(dataset), "--serve", "--cache", str(cache)]
    process = subprocess.Popen(
        [*command, *map(str, options)], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("viewers open http://127.0.0.1:"), process.stderr.read() if process.stderr else line
        yield line.split()[-1]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield chromium
        chromium.close()


@contextlib.contextmanager
def opened(browser: Any, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """A page that must not complain."""
    errors: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []
    context.close()


def until(page: Any, expression: str, at_most_s: float = 20.0) -> None:
    """Playwright's own waiting evaluates strings in the page, which the page's policy forbids."""
    ends_s = time.monotonic() + at_most_s
    while not _holds(page, expression):
        assert time.monotonic() < ends_s, expression
        time.sleep(0.05)


def _holds(page: Any, expression: str) -> bool:
    try:
        return bool(page.evaluate(expression))
    except sync_api.Error as error:
        # Asked while one page took the place of another.
        if "navigation" not in str(error):
            raise
        return False


def texts(page: Any, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_text_contents()]


# Where the marker is in the picture that the video shows and where the overlay has its dot, both in px of the clip.
# Run when a frame has been presented, after the page's own drawing.
_PLACES = """() => {
  const video = document.getElementById("video"), overlay = document.getElementById("overlay");
  const centre = (source, width, height, isMarked) => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(source, 0, 0, width, height);
    const data = pen.getImageData(0, 0, width, height).data;
    let [x, y, n] = [0, 0, 0];
    for (let i = 0; i < width * height; i += 1) {
      if (isMarked(data, 4 * i)) { x += i % width + 0.5; y += Math.floor(i / width) + 0.5; n += 1; }
    }
    return n ? [x / n * video.videoWidth / width, y / n * video.videoHeight / height] : null;
  };
  return {
    picture: centre(video, video.videoWidth, video.videoHeight, (data, i) => data[i] > 140),
    // The camera's dial is red.
    overlay: centre(overlay, overlay.width, overlay.height,
      (data, i) => data[i + 3] > 128 && data[i + 2] > 200 && data[i] < 120),
  };
}"""
_WATCH = f"""(wanted) => new Promise((done) => {{
  const places = {_PLACES}, video = document.getElementById("video"), seen = [];
  const next = (_, frame) => {{
    seen.push({{ ...places(), at: frame.mediaTime }});
    if (seen.length < wanted) video.requestVideoFrameCallback(next); else done(seen);
  }};
  video.requestVideoFrameCallback(next);
}})"""


def apart_px(found: dict[str, Any]) -> float:
    assert found["picture"] is not None
    assert found["overlay"] is not None, found
    return float(np.hypot(*np.subtract(found["picture"], found["overlay"])))


def test_the_overlay_is_of_the_frame_that_is_shown(browser: Any, marked: Path, tmp_path: Path) -> None:
    with served(marked, tmp_path) as link, opened(browser) as page:
        page.goto(link)
        page.click(".card")
        until(page, "document.querySelectorAll('#layers button').length === 2")
        until(page, "document.getElementById('video').readyState >= 3")
        # Paused, at frames here and there, the last one too.
        for t in (0, 1, 7, 20, 33, 34, 59, 12):
            page.evaluate(f"document.getElementById('video').currentTime = {(t + 0.3) / FPS}")
            until(page, f"document.getElementById('clock').textContent.startsWith('{t / FPS:.3f} s')")
            found = page.evaluate(_PLACES)
            assert np.hypot(*np.subtract(found["picture"], marker_xy(t))) < 2, "the browser shows this very frame"
            assert apart_px(found) < 2, t
        # While it plays: a frame late would be 8 px apart and more.
        page.keyboard.press(" ")
        seen = page.evaluate(_WATCH, 40)
        page.keyboard.press(" ")
        assert len({found["at"] for found in seen}) > 10, "it did play"
        apart = [apart_px(found) for found in seen]
        assert float(np.median(apart)) < 2, apart
        # A browser that gets no processor for a moment shows a frame and tells of it too late to draw with it.
        assert float(np.quantile(apart, 0.9)) < 8, apart
        # What is on the screen, by its pixels: the dot lies on the marker.
        page.evaluate(f"document.getElementById('video').currentTime = {40.3 / FPS}")
        until(page, f"document.getElementById('clock').textContent.startsWith('{40 / FPS:.3f} s')")
        stage = page.locator("#stage")
        shot = stage.screenshot()
        assert apart_on_screen(shot, stage.bounding_box()) < 2


def apart_on_screen(png: bytes, box: dict[str, float]) -> float:
    """Px of the clip between the dot and where the marker is known to be in frame 40."""
    import cv2

    bgr_HWC = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).astype(int)
    blue, _, red = np.moveaxis(bgr_HWC, -1, 0)
    y_N, x_N = np.nonzero((blue > 200) & (red < 120))
    scale = SIZE_HW[1] / box["width"]
    x, y = (x_N.mean() + 0.5) * scale, (y_N.mean() + 0.5) * scale
    return float(np.hypot(x - marker_xy(40)[0], y - marker_xy(40)[1]))


def test_frame_steps_layers_and_labels(browser: Any, marked: Path, tmp_path: Path) -> None:
    with served(marked, tmp_path) as link, opened(browser) as page:
        page.goto(link)
        page.click(".card")
        until(page, "document.querySelectorAll('#layers button').length === 2")
        until(page, "document.getElementById('video').readyState >= 3")
        for keys, t in ((["ArrowRight"], 1), (["ArrowRight"], 2), (["ArrowLeft"], 1)):
            for key in keys:
                page.keyboard.press(key)
            until(page, f"document.getElementById('clock').textContent.startsWith('{t / FPS:.3f} s')")
        assert page.evaluate(_PLACES)["overlay"] is not None
        page.click("#layers button:has-text('body')")
        assert page.evaluate(_PLACES)["overlay"] is None
        page.reload()
        until(page, "document.querySelectorAll('#layers button').length === 2")
        assert page.get_attribute("#layers button:has-text('body')", "aria-pressed") == "false", "it is remembered"
        # The first half is walking; a click into the second half of its lane seeks there and puts it out.
        lane = page.locator(".lane", has_text="walking")
        assert "lit" in (lane.get_attribute("class") or "")
        box = lane.locator("> div").bounding_box()
        page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 5)
        until(page, "Math.abs(document.getElementById('video').currentTime - 1.8) < 0.05")
        until(page, "!document.querySelectorAll('.lane')[1].classList.contains('lit')")


def test_found_filtered_and_sorted(browser: Any, viewed: Path, tmp_path: Path) -> None:
    run = builders.run_folder(tmp_path / "run")
    with served(viewed, tmp_path, "--run", run) as link, opened(browser) as page:
        page.goto(link)
        page.wait_for_selector(".card:nth-child(5)")
        assert "token" not in page.url
        until(page, "[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        # Markup of a caption is read, not run.
        assert "<img src=x" in texts(page, ".card p:first-child")[1]
        assert page.title() == "dataset"
        page.select_option("#sort", "quality")
        page.click("#direction")
        until(page, "document.querySelector('.card .facts').textContent.includes('quality 0.8')")
        # It is asked for when the cards are there.
        until(page, "document.querySelector('#histogram rect') !== null")
        page.select_option("#column", "actions")
        page.fill("#value", "walking")
        page.fill("#at-least", "0.6")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('status').textContent === '2 of 5 samples'")
        page.fill("#words", "WALKS 4")
        page.press("#words", "Enter")
        until(page, "document.getElementById('status').textContent === '1 of 5 samples'")
        page.reload()
        until(page, "document.querySelectorAll('.card').length === 1")
        page.click(".card")
        until(page, "document.querySelectorAll('.lane').length > 3")
        assert page.text_content("h1") == "clip-004"
        page.go_back()
        page.click(".chip >> nth=1")
        until(page, "document.getElementById('status').textContent === '2 of 5 samples'")
        page.click(".card >> nth=0")
        page.wait_for_selector("#layers button")
        page.keyboard.press("n")
        until(page, "document.getElementById('name').textContent === 'clip-002'")
        page.keyboard.press("p")
        until(page, "document.getElementById('name').textContent === 'clip-004'")
        page.click("#back")
        page.click("#tables button:has-text('rejected')")
        until(page, "document.getElementById('status').textContent === '2 rejected clips'")
        assert texts(page, ".card .why") == ["quality 0 < 0.6", "quality 0.5 < 0.6"]
        page.click(".card >> nth=1")
        page.wait_for_selector("#reasons li")
        assert texts(page, "#reasons li") == ["quality 0.5 < 0.6"]
        assert page.is_visible("#still")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit(browser: Any, viewed: Path, tmp_path: Path, width: int, scheme: str) -> None:
    with served(viewed, tmp_path) as link, opened(browser, width, scheme) as page:
        page.goto(link)
        page.wait_for_selector(".card:nth-child(5)")
        page.select_option("#column", "actions")
        page.select_option("#sort", "quality")
        page.wait_for_selector("#histogram rect")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click(".card >> nth=4")
        page.wait_for_selector("#layers button")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        inside = "(box) => box.left >= 0 && box.right <= innerWidth + 1"
        for selector in ("#stage", "#timeline", "#layers", "#groups", "#controls"):
            assert page.evaluate(f"({inside})(document.querySelector('{selector}').getBoundingClientRect())"), selector
