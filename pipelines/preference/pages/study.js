"use strict";
// One page: join, compare, pause, finished. A vote is put into this browser's storage first and taken out when the
// server has it, so that neither a reload nor a server that was killed loses or doubles it.

const SIDES = [["left", "Left", "1"], ["same", "No difference", "2"], ["right", "Right", "3"]];
const APART_S = 0.04;
const RETRY_MS = 2000;
const element = (id) => document.getElementById(id);
// Another study may be served from the same address later.
const study = document.documentElement.dataset.study;
const stored = {
  get: (name, otherwise) => {
    try { return JSON.parse(localStorage.getItem(study + "-" + name)) ?? otherwise; } catch { return otherwise; }
  },
  set: (name, value) => localStorage.setItem(study + "-" + name, JSON.stringify(value)),
};

let rater = stored.get("rater", "");
let item = null;
let questions = [];
let answers = {};
let active = 0;
let seenAt = 0;
let sending = false;

function show(name) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== name;
}

function say(text, isError = false) {
  const status = element("status");
  status.textContent = text;
  status.classList.toggle("error", isError);
}

const players = () => [element("left"), element("right"), element("driving")];

function address(what) {
  return "/media/" + encodeURIComponent(item.item_id) + "/" + what + "?rater=" + encodeURIComponent(rater) + "&study=" + encodeURIComponent(study);
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  const document_ = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(document_.error || "the server answered " + answer.status);
    error.status = answer.status;
    throw error;
  }
  return document_;
}

async function next() {
  let found;
  try {
    await flush();
    found = await ask("/api/next?rater=" + encodeURIComponent(rater));
  } catch (error) {
    if (error.status === 400 && !stored.get("waiting", []).length) {
      show("join");
      element("rater").setCustomValidity(error.message);
      element("rater").reportValidity();
      return;
    }
    show("compare");
    const why = error.status ? error.message : "the server does not answer";
    say("Not stored yet: " + why + ". Trying again; your answers are kept.", true);
    setTimeout(next, RETRY_MS);
    return;
  }
  questions = found.questions;
  element("progress").max = found.total;
  element("progress").value = found.done;
  element("count").textContent = (found.done + (found.item ? 1 : 0)) + " of " + found.total;
  element("who").textContent = rater;
  if (!found.item) { show("finished"); return; }
  item = found.item;
  const draft = stored.get("draft", {});
  answers = draft.rater === rater && draft.item_id === item.item_id ? draft.answers : {};
  seenAt = performance.now();
  element("prompt").textContent = item.prompt;
  element("left").src = address("left");
  element("right").src = address("right");
  element("driving").src = address("driving");
  const pictures = element("references");
  pictures.replaceChildren(...item.references.map((name) => {
    const picture = document.createElement("img");
    picture.src = address(name);
    picture.alt = "the character";
    return picture;
  }));
  active = Math.max(0, questions.findIndex((question) => !(question.name in answers)));
  if (Object.keys(answers).length === questions.length) active = questions.length;
  drawQuestions();
  say("");
  show("compare");
  for (const player of players()) player.playbackRate = Number(element("speed").value);
  play();
}

function drawQuestions() {
  const rows = questions.map((question, place) => {
    const row = document.createElement("fieldset");
    row.classList.toggle("active", place === active);
    const legend = document.createElement("legend");
    legend.textContent = question.text;
    row.append(legend);
    for (const [side, label, key] of SIDES) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.question = question.name;
      button.dataset.side = side;
      button.setAttribute("aria-pressed", String(answers[question.name] === side));
      button.append(label + " ");
      const hint = document.createElement("kbd");
      hint.textContent = key;
      button.append(hint);
      button.addEventListener("click", () => { active = place; choose(side); });
      row.append(button);
    }
    return row;
  });
  const submit = document.createElement("button");
  submit.type = "submit";
  submit.id = "store";
  submit.disabled = !isComplete();
  submit.append("Store and go on ");
  const hint = document.createElement("kbd");
  hint.textContent = "enter";
  submit.append(hint);
  element("questions").replaceChildren(...rows, submit);
}

const isComplete = () => questions.length > 0 && questions.every((question) => question.name in answers);

function choose(side) {
  if (active >= questions.length) return;
  answers[questions[active].name] = side;
  stored.set("draft", { rater, item_id: item.item_id, answers });
  active += 1;
  drawQuestions();
  say(isComplete() ? "All answered: enter stores them." : "");
}

async function store() {
  if (!item || !isComplete() || sending) return;
  const vote = { study, rater, item_id: item.item_id, answers, looked_s: (performance.now() - seenAt) / 1000 };
  const waiting = stored.get("waiting", []);
  if (!waiting.some((other) => other.rater === vote.rater && other.item_id === vote.item_id)) waiting.push(vote);
  stored.set("waiting", waiting);
  item = null;
  await next();
}

async function flush() {
  // Oldest first; each leaves the storage only when the server has it, or has refused it for good.
  sending = true;
  try {
    for (let waiting = stored.get("waiting", []); waiting.length; waiting = stored.get("waiting", [])) {
      try {
        await ask("/api/votes", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(waiting[0]) });
      } catch (error) {
        // Only a vote that the server has another of already is of no more use.
        if (error.status !== 409) throw error;
        console.warn(error.message);
      }
      stored.set("waiting", waiting.slice(1));
    }
  } finally {
    sending = false;
  }
}

function play() { for (const player of players()) player.play().catch(() => {}); }
function halt() { for (const player of players()) player.pause(); }

function restart() {
  for (const player of players()) player.currentTime = 0;
  play();
}

function keepTogether() {
  const [left, right, driving] = players();
  if (!left.paused && !left.seeking && !right.seeking) {
    for (const other of [right, driving]) {
      if (!other.ended && !other.seeking && Math.abs(other.currentTime - left.currentTime) > APART_S && left.currentTime < other.duration) {
        other.currentTime = left.currentTime;
      }
    }
  }
  requestAnimationFrame(keepTogether);
}

for (const name of ["left", "right"]) {
  element(name).addEventListener("ended", () => {
    if (players().slice(0, 2).every((player) => player.ended)) setTimeout(restart, 400);
  });
  element(name).addEventListener("error", () => say("A video cannot be played here; tell whoever runs the study.", true));
}
element("play").addEventListener("click", () => (element("left").paused ? play() : halt()));
element("restart").addEventListener("click", restart);
element("speed").addEventListener("change", (event) => {
  for (const player of players()) player.playbackRate = Number(event.target.value);
});
element("pause").addEventListener("click", () => { halt(); show("paused"); });
element("resume").addEventListener("click", () => { show("compare"); play(); });
element("questions").addEventListener("submit", (event) => { event.preventDefault(); store(); });
element("rater").addEventListener("input", (event) => event.target.setCustomValidity(""));
// A message about the name would keep the form from being sent again.
element("join-form").querySelector("button").addEventListener("click", () => element("rater").setCustomValidity(""));
element("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  element("rater").setCustomValidity("");
  rater = element("rater").value.trim();
  stored.set("rater", rater);
  next();
});
document.addEventListener("keydown", (event) => {
  if (element("compare").hidden || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const keys = {
    1: () => choose("left"), 2: () => choose("same"), 3: () => choose("right"),
    ArrowLeft: () => choose("left"), ArrowDown: () => choose("same"), ArrowRight: () => choose("right"),
    ArrowUp: () => { active = Math.max(0, active - 1); drawQuestions(); },
    " ": () => element("play").click(), r: restart, Enter: store, p: () => element("pause").click(),
  };
  if (event.key in keys) { event.preventDefault(); keys[event.key](); }
});

requestAnimationFrame(keepTogether);
if (rater) { element("rater").value = rater; next(); } else { show("join"); }
