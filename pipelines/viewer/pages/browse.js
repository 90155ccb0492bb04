// The page of thumbnails. What is shown stands in the address, so that links and the back button work.
import { ask, element, isTyping, made, question, say, shown, stateOf } from "/pages/ask.js";

const OPERATORS = {
  number: [">=", "<=", ">", "<", "=", "!=", "missing", "known"],
  text: ["contains", "is", "is not", "missing", "known"],
  flag: ["is", "missing", "known"],
  labels: ["has", "has not", "missing", "known"],
};
const WITHOUT_VALUE = ["missing", "known"];
const SVG = "http://www.w3.org/2000/svg";

let about = null;
let state = stateOf(location.search);
let count = 0;
let asked = 0;

const columns = () => about.tables[state.table].columns;
const columnNamed = (name) => columns().find((column) => column.name === name);
const sortable = () => columns().filter((column) => column.kind === "number" || column.kind === "text");
const textColumn = () => (state.table === "samples" ? "caption" : "why");

function go(changes) {
  state = { ...state, offset: 0, ...changes };
  const address = new URLSearchParams(question(state));
  if (state.offset) address.set("offset", state.offset);
  history.pushState(null, "", "/?" + address);
  show();
}

function fill(select, names, chosen) {
  select.replaceChildren(...names.map(([value, text]) => made("option", { value, textContent: text, selected: value === chosen })));
}

function drawControls() {
  const tables = Object.keys(about.tables);
  element("tables").replaceChildren(...(tables.length > 1 ? tables : []).map((name) => {
    const button = made("button", { type: "button", textContent: name + " " + about.tables[name].total.toLocaleString("en") });
    button.setAttribute("aria-pressed", String(name === state.table));
    button.addEventListener("click", () => go({ table: name, filters: [], sort: "", descending: false }));
    return button;
  }));
  fill(element("sort"), [["", "the table's order"], ...sortable().map((column) => [column.name, column.name])], state.sort);
  element("direction").textContent = state.descending ? "↓ falling" : "↑ rising";
  const words = state.filters.find((filter) => isSearch(filter));
  element("words").value = words ? words[2] : "";
  element("words").placeholder = state.table === "samples" ? "words of the caption" : "words of the reason";
  const chosen = element("column").value;
  fill(element("column"), columns().map((column) => [column.name, column.name]), columnNamed(chosen) ? chosen : (columnNamed("quality") ?? columns()[0]).name);
  drawFilterInputs();
  element("filters").replaceChildren(...state.filters.map((filter, place) => {
    const [name, operator, value, atLeast] = filter;
    const text = [name, operator, ...(value === undefined || value === null ? [] : [value]), ...(typeof atLeast === "number" ? ["at " + atLeast] : [])].join(" ");
    const chip = made("button", { type: "button", className: "chip", textContent: text + "  ×", title: "take this filter away" });
    chip.addEventListener("click", () => go({ filters: state.filters.filter((_, other) => other !== place) }));
    return chip;
  }));
}

const isSearch = (filter) => filter[0] === textColumn() && filter[1] === "contains";

async function drawFilterInputs() {
  const column = columnNamed(element("column").value);
  const before = element("operator").value;
  fill(element("operator"), OPERATORS[column.kind].map((name) => [name, name]), before);
  const plain = WITHOUT_VALUE.includes(element("operator").value);
  element("value").hidden = plain;
  element("value").inputMode = column.kind === "number" ? "decimal" : "text";
  element("sure").hidden = plain || !column.sure;
  element("known").replaceChildren();
  if (plain || column.kind === "number" || column.name === "key" || column.name === "caption") return;
  if (column.kind === "flag") { element("known").replaceChildren(...["yes", "no"].map((value) => made("option", { value }))); return; }
  const { values } = await ask("/api/values", { table: state.table, column: column.name }).catch(() => ({ values: [] }));
  if (element("column").value !== column.name) return;
  element("known").replaceChildren(...values.map(([value, rows]) => made("option", { value, textContent: rows + " of them" })));
}

function card(row, place) {
  const isSample = state.table === "samples";
  const key = isSample ? row.key : row.clip_id;
  const picture = made("img", { loading: "lazy", alt: "", src: "/media/" + (isSample ? "sample/" : "rejected/") + encodeURIComponent(key) + ".jpg" });
  const span = isSample ? row.duration_s.toFixed(2) + " s, " + row.width_px + "×" + row.height_px : row.start_s.toFixed(2) + "–" + row.end_s.toFixed(2) + " s";
  const facts = [span];
  if (isSample && row.shot_scale) facts.push(String(row.shot_scale).replaceAll("_", " "));
  if (state.sort && row[state.sort] !== undefined && !["key", "caption", "duration_s", "why"].includes(state.sort)) facts.push(state.sort + " " + shown(row[state.sort]));
  const parts = isSample
    ? [made("p", { textContent: row.caption || key })]
    : [made("p", { textContent: row.uri.split("/").pop() }), made("p", { className: "why", textContent: row.why })];
  const address = new URLSearchParams({ ...question(state), key, at: state.offset + place });
  return made("a", { className: "card", href: "/sample?" + address }, picture, made("div", {}, ...parts, made("p", { className: "facts", textContent: facts.join(" · ") })));
}

function drawHistogram(found) {
  const figure = element("histogram");
  figure.hidden = !found || found.known === 0;
  if (figure.hidden) return;
  const most = Math.max(...found.counts);
  const width = 240 / found.counts.length;
  figure.querySelector("svg").replaceChildren(...found.counts.map((rows, bin) => {
    const bar = document.createElementNS(SVG, "rect");
    const height = rows ? Math.max(1, 40 * rows / most) : 0;
    for (const [name, value] of Object.entries({ x: bin * width + 0.5, y: 40 - height, width: width - 1, height })) bar.setAttribute(name, value);
    return bar;
  }));
  const [low, high] = [shown(found.low), shown(found.high)];
  figure.querySelector("figcaption").replaceChildren(made("span", { textContent: low }), made("span", { textContent: state.sort + ", known of " + found.known.toLocaleString("en") }), made("span", { textContent: high }));
}

async function show() {
  const turn = ++asked;
  drawControls();
  say("…");
  try {
    const page = await ask("/api/page", { ...question(state), offset: state.offset, limit: about.page_rows });
    if (turn !== asked) return;
    // Behind the end there is the last page.
    state.offset = page.offset;
    element("cards").replaceChildren(...page.rows.map(card));
    const total = about.tables[state.table].total;
    count = (await ask("/api/count", question(state))).count;
    if (turn !== asked) return;
    say(count.toLocaleString("en") + (count === total ? "" : " of " + total.toLocaleString("en")) + (state.table === "samples" ? " samples" : " rejected clips"));
    const last = Math.min(count, state.offset + about.page_rows);
    element("place").textContent = count ? (state.offset + 1).toLocaleString("en") + "–" + last.toLocaleString("en") + " of " + count.toLocaleString("en") : "nothing found";
    element("previous").disabled = state.offset === 0;
    element("next").disabled = last >= count;
    const numbers = state.sort && columnNamed(state.sort)?.kind === "number";
    const bars = numbers ? await ask("/api/histogram", { ...question(state), column: state.sort }) : null;
    if (turn === asked) drawHistogram(bars);
  } catch (error) {
    if (turn !== asked) return;
    element("cards").replaceChildren();
    drawHistogram(null);
    say(error.message, true);
  }
}

function turn(pages) {
  const offset = state.offset + pages * about.page_rows;
  if (offset < 0 || (pages > 0 && offset >= count)) return;
  go({ offset });
  window.scrollTo(0, 0);
}

element("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = element("words").value.trim();
  const others = state.filters.filter((filter) => !isSearch(filter));
  go({ filters: words ? [...others, [textColumn(), "contains", words]] : others });
});
element("sort").addEventListener("change", () => go({ sort: element("sort").value }));
element("direction").addEventListener("click", () => go({ descending: !state.descending }));
element("column").addEventListener("change", () => { element("value").value = ""; drawFilterInputs(); });
element("operator").addEventListener("change", drawFilterInputs);
element("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  const column = columnNamed(element("column").value);
  const operator = element("operator").value;
  const filter = [column.name, operator];
  if (!WITHOUT_VALUE.includes(operator)) {
    const typed = element("value").value.trim();
    if (!typed) { element("value").focus(); return; }
    if (column.kind === "number" && !Number.isFinite(Number(typed))) { say(column.name + " is compared with a number", true); return; }
    filter.push(column.kind === "number" ? Number(typed) : typed);
    const atLeast = element("at-least").value;
    if (column.sure && atLeast !== "") filter.push(Number(atLeast));
  }
  element("value").value = "";
  go({ filters: [...state.filters, filter] });
});
element("previous").addEventListener("click", () => turn(-1));
element("next").addEventListener("click", () => turn(1));
addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "n") turn(1);
  if (event.key === "p") turn(-1);
});
addEventListener("popstate", () => { state = stateOf(location.search); show(); });

about = await ask("/api/about");
document.title = about.name;
element("name").textContent = about.name;
if (!about.tables[state.table]) state.table = "samples";
await show();
