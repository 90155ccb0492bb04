// What both pages need: questions to the server, elements whose text is always text, the state in the address.

export const element = (id) => document.getElementById(id);

export async function ask(path, parameters = {}) {
  const answer = await fetch(path + "?" + new URLSearchParams(parameters));
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error || "the server answered " + answer.status);
  return said;
}

// Text from outside goes through here, never through markup.
export function made(tag, properties = {}, ...children) {
  const one = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in one) one[name] = value; else one.setAttribute(name, value);
  }
  one.append(...children.filter((child) => child !== null && child !== undefined));
  return one;
}

// The question: a table, its filters [column, operator, value, confidence at least], order and place.
export function stateOf(search) {
  const given = new URLSearchParams(search);
  let filters = [];
  try { filters = JSON.parse(given.get("filters") || "[]"); } catch { filters = []; }
  return {
    table: given.get("table") || "samples",
    filters: Array.isArray(filters) ? filters.filter(Array.isArray) : [],
    sort: given.get("sort") || "",
    descending: given.get("descending") === "1",
    offset: Number(given.get("offset")) || 0,
    key: given.get("key") || "",
    at: given.has("at") ? Number(given.get("at")) : null,
  };
}

export function question(state) {
  const asked = { table: state.table };
  if (state.filters.length) asked.filters = JSON.stringify(state.filters);
  if (state.sort) asked.sort = state.sort;
  if (state.descending) asked.descending = "1";
  return asked;
}

export function shown(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  if (typeof value === "boolean") return value ? "yes" : "no";
  return Array.isArray(value) ? value.join(", ") || "–" : String(value);
}

export function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

export const isTyping = (event) => ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey;
