// One sample: its clip with the tracks of the very frame that the browser shows, its labels over time, its facts; or a
// rejected clip with what spoke against it.
import { ask, element, isTyping, made, question, say, shown, stateOf } from "/pages/ask.js";
import { Painter } from "/pages/draw.js";
import { Timeline } from "/pages/timeline.js";
import { unpacked } from "/pages/tracks.js";

// As many as the first page asks for (server.py).
const PAGE_ROWS = 60;

const LAYERS = ["body", "face", "hands", "camera", "things"];
const KEPT = "motionloom-layers";

const state = stateOf(location.search);
const isSample = state.table === "samples";
const video = element("video");
let layers = new Set(LAYERS);
try { layers = new Set(JSON.parse(localStorage.getItem(KEPT)) ?? LAYERS); } catch { layers = new Set(LAYERS); }
let facts = null;
let painter = null;
let timeline = null;
let nowS = 0;

function pageAddress(path, more = {}) {
  return path + "?" + new URLSearchParams({ ...question(state), ...more });
}

function redraw() {
  if (painter) painter.draw(nowS, layers);
  if (timeline) timeline.at(nowS);
  if (facts) element("clock").textContent = nowS.toFixed(3) + " s of " + facts.duration_s.toFixed(2) + " s";
}

// The frame that is on the screen says its own time: the clock of the player runs ahead of it.
function follow() {
  if ("requestVideoFrameCallback" in HTMLVideoElement.prototype) {
    const presented = (_, frame) => {
      nowS = frame.mediaTime;
      redraw();
      video.requestVideoFrameCallback(presented);
    };
    video.requestVideoFrameCallback(presented);
    return;
  }
  const again = () => {
    if (video.currentTime !== nowS) { nowS = video.currentTime; redraw(); }
    requestAnimationFrame(again);
  };
  requestAnimationFrame(again);
}

function seek(seconds) {
  // A little behind a frame's time, so that rounding does not show the one before.
  video.currentTime = Math.min(Math.max(seconds, 0), Math.max(facts.duration_s - 1e-3, 0));
}

function step(frames) {
  video.pause();
  const times = (painter && Object.entries(painter.tracks.arrays).find(([name]) => name.endsWith("_s") && name !== "things_s"))?.[1].values;
  const stepS = facts.fps > 0 ? 1 / facts.fps : 0.04;
  if (!times || !times.length) { seek(nowS + frames * stepS); return; }
  let row = 0;
  while (row + 1 < times.length && Math.abs(times[row + 1] - nowS) <= Math.abs(times[row] - nowS)) row += 1;
  const target = Math.min(Math.max(row + frames, 0), times.length - 1);
  // A second seek into the last frame of a video that loops would land on the first.
  if (target !== row) seek(times[target] + 0.25 * stepS);
}

function drawLayers() {
  const has = (name) => painter && (painter.tracks.arrays[name + "_s"] !== undefined);
  element("layers").replaceChildren(...LAYERS.filter(has).map((name) => {
    const button = made("button", { type: "button", textContent: name });
    button.setAttribute("aria-pressed", String(layers.has(name)));
    button.addEventListener("click", () => {
      if (layers.has(name)) layers.delete(name); else layers.add(name);
      localStorage.setItem(KEPT, JSON.stringify([...layers]));
      drawLayers();
      redraw();
    });
    return button;
  }));
}

function drawGroups(groups, open) {
  element("groups").replaceChildren(...Object.entries(groups).filter(([, values]) => Object.keys(values).length).map(([name, values]) => {
    const list = made("dl", {}, ...Object.entries(values).flatMap(([what, value]) => [made("dt", { textContent: what }), made("dd", { textContent: shown(value) })]));
    return made("details", { open: open.includes(name) }, made("summary", { textContent: name }), list);
  }));
}

async function showSample() {
  facts = await ask("/api/sample", { key: state.key });
  element("caption").textContent = facts.caption || "no caption";
  drawGroups(facts.groups, ["rights", "where it comes from", "scores", "label quality"]);
  const [width, height] = facts.size_wh;
  const stage = element("stage");
  stage.style.aspectRatio = width + " / " + height;
  stage.style.maxWidth = "calc(68vh * " + (width / height).toFixed(4) + ")";
  follow();
  video.src = "/media/clip/" + encodeURIComponent(state.key) + ".mp4";
  timeline = new Timeline(element("timeline"), facts.labels, facts.duration_s, {}, seek);
  say(facts.notes.join("; "));
  const answer = await fetch("/api/tracks?" + new URLSearchParams({ key: state.key }));
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || "the tracks cannot be read");
  const tracks = unpacked(await answer.arrayBuffer());
  painter = new Painter(element("overlay"), tracks);
  timeline = new Timeline(element("timeline"), facts.labels, facts.duration_s, tracks.draw.fields, seek);
  drawLayers();
  redraw();
  new ResizeObserver(redraw).observe(element("overlay"));
}

async function showRejected() {
  for (const name of ["stage", "controls", "layers", "timeline"]) element(name).hidden = true;
  const clip = await ask("/api/rejected", { key: state.key });
  const still = element("still");
  still.src = "/media/rejected/" + encodeURIComponent(state.key) + ".jpg";
  still.hidden = false;
  element("caption").textContent = clip.uri + ", " + clip.start_s.toFixed(2) + " to " + clip.end_s.toFixed(2) + " s";
  element("reasons").replaceChildren(...clip.why.split("; ").map((reason) => made("li", { textContent: reason })));
  const { why, reasons, ...rest } = clip;
  const numbers = Object.fromEntries(Object.entries(rest).filter(([, value]) => typeof value === "number"));
  const others = Object.fromEntries(Object.entries(rest).filter(([, value]) => typeof value !== "number" && value !== null));
  drawGroups({ "scores and sizes": numbers, "where it comes from": others }, ["scores and sizes", "where it comes from"]);
}

async function neighbour(by) {
  const at = (state.at ?? NaN) + by;
  if (!(at >= 0)) return;
  try {
    const { rows } = await ask("/api/page", { ...question(state), offset: at, limit: 1 });
    if (!rows.length) { say("that was the last one"); return; }
    location.href = pageAddress("/sample", { key: rows[0].key ?? rows[0].clip_id, at });
  } catch (error) {
    say(error.message, true);
  }
}

function toggle() {
  if (video.paused) video.play().catch((error) => say(error.message, true)); else video.pause();
}

for (const event of ["play", "pause"]) {
  video.addEventListener(event, () => { element("play").firstChild.textContent = video.paused ? "Play " : "Pause "; });
}
video.addEventListener("error", () => say("this browser cannot play the clip", true));
element("play").addEventListener("click", toggle);
element("back-frame").addEventListener("click", () => step(-1));
element("on-frame").addEventListener("click", () => step(1));
element("speed").addEventListener("change", () => { video.playbackRate = Number(element("speed").value); });
element("previous").addEventListener("click", () => neighbour(-1));
element("next").addEventListener("click", () => neighbour(1));
addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const does = { n: () => neighbour(1), p: () => neighbour(-1) };
  if (isSample) Object.assign(does, { " ": toggle, ArrowLeft: () => step(-1), ArrowRight: () => step(1) });
  if (!does[event.key]) return;
  event.preventDefault();
  // Space would press the button that has the focus a second time.
  if (document.activeElement?.tagName === "BUTTON") document.activeElement.blur();
  does[event.key]();
});

document.title = state.key;
element("name").textContent = state.key;
element("back").href = pageAddress("/", state.at === null ? {} : { offset: Math.floor(state.at / PAGE_ROWS) * PAGE_ROWS });
element("back").textContent = isSample ? "All samples" : "All rejected clips";
element("previous").disabled = !state.at;
element("next").disabled = state.at === null;
try {
  await (isSample ? showSample() : showRejected());
} catch (error) {
  say(error.message, true);
}
