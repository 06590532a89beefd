// "What if": other settings for an answer that the server has kept. The server decides it again; the page shows how
// far it would have been the same, and goes on from there.

import { postJson } from "./api.js";
import { button, counted, make, visible } from "./elements.js";

const PAUSE_MS = 120; // between two questions while a slider moves
let panels = 0;

export class WhatIf {
  // onKnown(n) dims what is not repeated; onGoOn(step, blend) goes on from there.
  constructor(answer, methods, { onKnown, onGoOn }) {
    this.answer = answer;
    this.onKnown = onKnown;
    this.onGoOn = onGoOn;
    const id = `what-if-${panels += 1}`;
    const { method, threshold = 0.15, alpha } = answer.blend;
    const fixed = typeof alpha === "number";
    this.method = make("select", { id: `${id}-method`, name: "method", onchange: () => this.ask() },
      methods.map((name) => make("option", { value: name, selected: name === method }, name)));
    this.threshold = this.#slider(`${id}-threshold`, threshold, "threshold");
    this.alpha = this.#slider(`${id}-alpha`, fixed ? alpha : 0.5, "alpha");
    this.alpha.disabled = !fixed;
    this.auto = make("input", {
      type: "checkbox", id: `${id}-auto`, name: "auto", checked: !fixed,
      onchange: () => { this.alpha.disabled = this.auto.checked; this.#values(); this.ask(); },
    });
    this.shown = { threshold: make("output", { for: this.threshold.id }), alpha: make("output", { for: this.alpha.id }) };
    this.verdict = make("div.verdict", { role: "status" });
    this.element = make("section.what-if", { "aria-label": "What if" },
      make("div.field", {}, make("label", { for: this.method.id }, "Method"), this.method),
      make("div.field", {}, make("label", { for: this.threshold.id }, "Threshold ", this.shown.threshold), this.threshold,
        make("small.quiet", {}, "higher: the guide is asked more often")),
      make("div.field", {}, make("label", { for: this.alpha.id }, "Weight of the guide ", this.shown.alpha), this.alpha,
        make("label.check", { for: this.auto.id }, this.auto, " chosen at each step")),
      this.verdict);
    this.#values();
    this.ask(0);
  }

  #slider(id, value, name) {
    return make("input", {
      type: "range", id, name, min: 0, max: 1, step: 0.01, value,
      oninput: () => { this.#values(); this.ask(); },
    });
  }

  #values() {
    this.shown.threshold.value = Number(this.threshold.value).toFixed(2);
    this.shown.alpha.value = this.auto.checked ? "auto" : Number(this.alpha.value).toFixed(2);
  }

  get blend() {
    return {
      method: this.method.value, threshold: Number(this.threshold.value),
      alpha: this.auto.checked ? "auto" : Number(this.alpha.value),
    };
  }

  ask(pause = PAUSE_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#ask(), pause);
  }

  async #ask() {
    this.request?.abort();
    const request = this.request = new AbortController();
    const blend = this.blend;
    try {
      this.#show(await postJson("/v1/replay", { id: this.answer.serverId, blend }, request.signal), blend);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.onKnown(null);
      this.#answer(make("p.error", {}, error.message));
    }
  }

  #show(found, blend) {
    const { outcome, step, known_steps: known, recorded, replayed } = found;
    const total = this.answer.tokens.length;
    this.onKnown(outcome === "same" ? null : step);
    const lines = [];
    if (outcome === "same") lines.push(`The same answer, all ${counted(total, "step")} of it.`);
    else {
      const at = step ? `The same for ${counted(step, "step")} of ${total}` : "Other from the first step";
      if (outcome === "differs" && found.before && found.after) {
        lines.push(make("span", {}, `${at}; then `, make("q", {}, visible(found.after.text)), " instead of ",
          make("q", {}, visible(found.before.text)), "."));
      } else lines.push(`${at}; what comes then must be asked of the models${found.reason ? ` (${found.reason})` : ""}.`);
    }
    const asked = `Over ${counted(known, "step")}: asked at ${replayed.asked} (was ${recorded.asked}), changed at `
      + `${replayed.changed} (was ${recorded.changed}).`;
    this.#answer(make("p", {}, lines), make("p.quiet", {}, asked),
      outcome === "same" ? "" : button("Go on from there", () => this.onGoOn(step, blend), { class: "primary" }));
  }

  // The first verdict comes into view; later ones take its place.
  #answer(...nodes) {
    const first = !this.verdict.hasChildNodes();
    this.verdict.replaceChildren(...nodes);
    if (first) this.element.scrollIntoView({ block: "nearest" });
  }

  close() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.onKnown(null);
    this.element.remove();
  }
}
