// What the models proposed at one token: base, guide and blend side by side. A candidate can be chosen instead.

import { guidesOf, isAsking, legalOf, whyOf } from "./answer.js";
import { $, button, icon, make, percent, visible } from "./elements.js";

const NARROW = matchMedia("(max-width: 38rem)"); // as page.css has it
const ROLES = { base: "Base", guide: "Guide", blend: "Blend" };

// Whether a candidate became this text: its bytes, or for half a character the beginning of them.
function became(text, bytes, won) {
  if (!bytes) return text === won;
  const whole = new TextEncoder().encode(won);
  const begins = bytes.every((each, i) => each === whole[i]);
  return begins && (bytes.length === whole.length || (bytes.length > 0 && text.endsWith("\ufffd")));
}

export class Popover {
  constructor() {
    this.element = $("popover");
    this.anchor = null;
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.isOpen) { event.stopPropagation(); this.close(); }
    });
    document.addEventListener("pointerdown", (event) => {
      if (this.isOpen && !this.element.contains(event.target) && !event.target.closest?.(".step")) this.close(false);
    });
    addEventListener("resize", () => this.#place());
  }

  get isOpen() { return !this.element.hidden; }

  // anchor() is the token on the page, which may be drawn anew; onFork(candidate) goes on from a candidate; null where the answer cannot be continued elsewhere.
  show(token, step, anchor, onFork) {
    const won = token.text;
    const asked = isAsking(token), legal = legalOf(token), several = guidesOf(token);
    const lists = asked ? Object.entries(ROLES).map(([role, name]) => this.#list(name, role, token, won, onFork)) : [];
    const weight = token.alpha === null || token.alpha === undefined ? "" : `, with a weight of ${percent(token.alpha)}`;
    this.element.replaceChildren(
      make("header", {},
        make("div", {}, make("p.emitted", {}, visible(won)),
          make("p.quiet", {}, `Step ${step + 1}: ${whyOf(token)}${weight}.`),
          several ? make("p.quiet", {}, several) : ""),
        button(icon("close"), () => this.close(), { class: "plain", "aria-label": "Close" })),
      ...(asked ? [make("div.lists", {}, lists), legal ? make("p.quiet.hint", {}, legal) : "",
        make("p.quiet.hint", {}, onFork ? "Choose a candidate, and the answer goes on from it in a branch of its own."
          : "The server no longer has this answer, so it cannot be continued from here.")] : []));
    this.element.hidden = false;
    this.anchor = anchor;
    this.#place();
  }

  close(refocus = true) {
    this.element.hidden = true;
    if (refocus) this.anchor?.()?.focus();
    this.anchor = null;
  }

  #list(name, role, token, won, onFork) {
    const candidates = token.candidates?.[role] ?? (token[role] ? [token[role]] : []);
    const rows = candidates.map(({ token: text, p, bytes }) => {
      const bar = make("span.bar");
      bar.style.width = `${Math.min(1, p) * 100}%`;
      const wins = became(text, bytes, won);
      const parts = [bar, make("span.name", {}, `${wins ? "▸ " : ""}${visible(text)}`), make("span.p", {}, percent(p))];
      const label = `${visible(text)}, ${percent(p)}${wins ? ", chosen" : ""}`;
      if (!onFork || wins || text === "") return make(`div.row${wins ? ".winner" : ""}`, {}, parts);
      return button(parts, () => onFork({ text, bytes: bytes ?? [...new TextEncoder().encode(text)] }),
        { class: "row", "aria-label": `${label}: go on from here` });
    });
    const none = role === "blend" ? "nothing was blended" : "not asked";
    return make("section", { "aria-label": name }, make(`h3.${role}`, {}, name),
      rows.length ? rows : make("p.quiet", {}, none));
  }

  // Below the token where there is room, else above it; a narrow window shows it at its lower edge (page.css), and
  // the token above that.
  #place() {
    const anchor = this.isOpen ? this.anchor?.() : null;
    if (!anchor) return;
    const box = anchor.getBoundingClientRect(), own = this.element.getBoundingClientRect();
    if (NARROW.matches && box.bottom > innerHeight - own.height) scrollBy(0, box.top - innerHeight / 4);
    const left = Math.max(8, Math.min(box.left, innerWidth - own.width - 8));
    const below = box.bottom + 8;
    const top = below + own.height < innerHeight - 8 ? below : Math.max(8, box.top - own.height - 8);
    this.element.style.setProperty("--left", `${left + scrollX}px`);
    this.element.style.setProperty("--top", `${top + scrollY}px`);
  }
}
