// Labels as bars over time, a lane for each; a line moves along, a click seeks.
import { made } from "/pages/ask.js";

const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const TICKS_AT_MOST = 8;
const OTHER = [200, 200, 200];

export class Timeline {
  constructor(root, labels, durationS, colours, seek) {
    this.root = root;
    this.durationS = Math.max(durationS, 1e-3);
    this.bars = [];
    const lanes = new Map();
    for (const label of labels) {
      const name = label.field + "\n" + label.name;
      if (!lanes.has(name)) lanes.set(name, []);
      lanes.get(name).push(label);
    }
    const rows = [this.axis(), ...[...lanes.values()].map((found) => this.lane(found, colours[found[0].field] || OTHER))];
    for (const row of rows) {
      row.lastChild.addEventListener("click", (event) => {
        const box = row.lastChild.getBoundingClientRect();
        seek(Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * this.durationS);
      });
    }
    root.replaceChildren(...rows);
  }

  part(seconds) {
    return 100 * Math.min(Math.max(seconds / this.durationS, 0), 1) + "%";
  }

  axis() {
    const step = STEPS_S.find((each) => this.durationS / each <= TICKS_AT_MOST) || STEPS_S.at(-1);
    const ticks = [];
    for (let n = 0; n * step < this.durationS * 0.96; n += 1) {
      const tick = made("div", { className: "tick", textContent: String(Number((n * step).toFixed(1))) + (n ? "" : " s") });
      tick.style.left = this.part(n * step);
      ticks.push(tick);
    }
    return made("div", { className: "lane" }, made("span", { textContent: "time" }), made("div", {}, ...ticks));
  }

  lane(labels, colour) {
    const name = made("span", { textContent: labels[0].name, title: labels[0].field + ": " + labels[0].name });
    name.style.borderLeftColor = "rgb(" + colour.join(",") + ")";
    const row = made("div", { className: "lane" }, name);
    const bars = labels.map((label) => {
      const sure = label.confidence === null ? "" : label.confidence.toFixed(2);
      const bar = made("div", { className: "bar", title: label.name + " " + label.start_s + "–" + label.end_s + " s " + sure }, made("span", { textContent: sure }));
      bar.style.left = this.part(label.start_s);
      bar.style.width = this.part(label.end_s - label.start_s);
      bar.style.setProperty("--colour", colour.join(" "));
      this.bars.push({ bar, row, label });
      return bar;
    });
    row.append(made("div", {}, ...bars));
    return row;
  }

  at(seconds) {
    this.root.style.setProperty("--now", this.part(seconds));
    const lit = new Set();
    for (const { bar, row, label } of this.bars) {
      const holds = label.start_s - 5e-4 <= seconds && seconds < label.end_s - 5e-4;
      bar.classList.toggle("lit", holds);
      if (holds) lit.add(row);
    }
    for (const { row } of this.bars) row.classList.toggle("lit", lit.has(row));
  }
}
