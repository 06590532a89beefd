// One answer on the page: its text with every token marked, moved through by keyboard, and the line below it.

import { blocksOf, drawBlock, linesOf } from "./markdown.js";
import { counted, make, percent, visible } from "./elements.js";

// As views/answer_tables.py says it.
const WHY = {
  base: "the base was sure, so the guide was not asked",
  kept: "the guide was asked, and the base's first choice was kept",
  changed: "the guide was asked and changed the outcome",
  guide: "the guide answers alone",
  chosen: "you chose this candidate",
  given: "the answer was begun with this text",
  forced: "the form allowed nothing else, so no model was asked",
};
const BANDS = [["high", 0.8], ["medium", 0.4], ["low", 0.1], ["lowest", 0]]; // as PROB_BANDS of views/answer.py
const EXCESSIVE = 0.2; // as settings say: more asked steps than this are a warning sign
export const EXCESS_WARNING = `Warning (!): the guide was asked at over ${EXCESSIVE * 100}\u00a0% of the steps. `
  + "The paper found that guidance seldom helps then; blendin check tries whether it does with this pair. A lower threshold asks less often.";
const UNGATED = ["base", "guide", "ensemble", "proxy", "bet", "bet-blend", "kad"]; // or gated by a test of their own
const ENDS = { stop: "ended", length: "at the limit", cancelled: "cut short", error: "failed" };
const CUTS = { stop: "cut at a stop string", length: "cut by its length" };
const ALL = 0.9995; // of a probability, as views/form.py has it

export const whyOf = ({ source, guides }) =>
  guides?.length ? WHY[source].replace("the guide was", "the guides were") : WHY[source];

// What several guides said, as views/guides.py says it; empty with one guide.
export function guidesOf({ guides, proposer }) {
  if (!guides?.length) return "";
  const said = guides.map(({ role, alpha, top }) => {
    const weight = typeof alpha === "number" ? `, with a weight of ${percent(alpha)}` : "";
    return `${role} says ${visible(top.token)} (${percent(top.p)}${weight})`;
  });
  return `${proposer ? `The word is ${proposer}'s: ` : ""}${said.join(", ")}.`;
}

export const isAsked = (token) => token.source === "kept" || token.source === "changed";
export const textOf = (answer) => answer.tokens.map((token) => token.text).join("");

export const isAsking = (token) => token.source !== "given" && token.source !== "forced"; // whether a model was asked

export function countsOf(answer) {
  const steps = answer.tokens.filter(isAsking);
  return {
    steps: steps.length,
    asked: steps.filter(isAsked).length,
    changed: steps.filter((token) => token.source === "changed").length,
    forced: answer.tokens.filter((token) => token.source === "forced").length,
  };
}

// Whether an answer must have a form; its text is then data, and no Markdown.
export const hasForm = (answer) =>
  Boolean(answer.blend?.json_schema) || answer.complete !== undefined || countsOf(answer).forced > 0;

// `the base gave 87.8 %, the guide 91.2 %`, of those that were asked.
function gave(base, guide) {
  const shares = [["base", base], ["guide", guide]].filter(([, p]) => typeof p === "number");
  return shares.map(([role, p], i) => `the ${role} ${i ? "" : "gave "}${percent(p)}`).join(", ");
}

const mean = (values) => values.length ? values.reduce((sum, each) => sum + each) / values.length : null;

// What a form did to an answer, as views/form.py says it.
function formItems(answer) {
  if (!hasForm(answer)) return [];
  const { steps, forced } = countsOf(answer);
  const [base, guide] = ["legal_base", "legal_guide"].map(
    (name) => mean(answer.tokens.map((token) => token[name]).filter((p) => typeof p === "number")));
  const shares = gave(base, guide);
  return [`the form wrote ${forced} of ${counted(steps + forced, "step")}`, shares ? `${shares} to what was legal` : null];
}

// How much each model gave to what was legal at a token; empty where that was all.
export function legalOf({ legal_base: base, legal_guide: guide }) {
  const masses = [base, guide].filter((p) => typeof p === "number");
  if (!masses.length || Math.min(...masses) >= ALL) return "";
  const text = gave(base, guide);
  return `${text[0].toUpperCase()}${text.slice(1)} to what was legal here; the probabilities are shares of that.`;
}

// Why an answer that must have a form has none.
export const incompleteOf = (answer) => answer.complete === false
  ? `${CUTS[answer.finish] ?? "ended too early"}: ${answer.blend?.json_schema ? "the JSON" : "the answer"} is not complete` : "";

function band(token) {
  const top = token.base ?? token.guide;
  return top ? ` ${BANDS.find(([, least]) => top.p >= least)[0]}` : "";
}

// Whether the guide was asked at too many steps of a whole answer; of methods without a gate that says nothing.
export function isExcessive(answer) {
  const { steps, asked } = countsOf(answer);
  return answer.state !== "running" && asked > EXCESSIVE * steps && !UNGATED.includes(answer.method);
}

// The line below an answer, as in the terminal.
export function footerOf(answer) {
  const { steps, asked, changed, forced } = countsOf(answer);
  if (!steps && !forced) return "";
  const speed = answer.timings?.predicted_per_second;
  const isComplete = answer.complete && answer.finish === "stop";
  const end = answer.state === "stopped" ? "stopped by you" : isComplete ? "complete" : ENDS[answer.finish];
  const rate = (n) => percent(steps ? n / steps : 0);
  return [
    speed ? `${speed.toFixed(1)} tok/s` : null, counted(steps, "step"),
    `${rate(asked)} asked${isExcessive(answer) ? " (!)" : ""}`, `${rate(changed)} changed`, end, ...formItems(answer),
  ].filter(Boolean).join(" · ");
}

const isInView = (element) => {
  const box = element.getBoundingClientRect();
  return box.top >= 0 && box.bottom <= innerHeight;
};

export class AnswerText {
  // onOpen(step) is called where a token is chosen by Enter, space or a click; onMove(step) where the focus moves;
  // markdown() says whether the text is shown as Markdown.
  constructor(answer, { onOpen, onMove, markdown }) {
    this.answer = answer;
    this.onOpen = onOpen;
    this.onMove = onMove;
    this.markdown = markdown;
    this.current = -1;
    this.known = null; // steps that other settings would repeat; null for all
    this.drawn = [];
    this.element = make("div.answer", { role: "group", "aria-label": "Answer, token by token with the arrow keys" });
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("focusin", (event) => this.#focus(event.target));
    this.element.addEventListener("click", (event) => this.#click(event));
    this.draw();
  }

  // Draws what is new: blocks that are complete stay as they are.
  draw() {
    const { tokens } = this.answer;
    this.starts = [];
    let source = "";
    for (const token of tokens) { this.starts.push(source.length); source += token.text; }
    const lines = linesOf(source);
    const blocks = this.markdown() ? blocksOf(lines) : lines.length ? [{ kind: "plain", lines }] : [];
    const keys = blocks.map((block) => `${block.kind} ${block.lines[0]?.at} ${JSON.stringify(block.lines.at(-1))}`);
    const last = blocks.length - 1;
    const hadFocus = this.element.contains(document.activeElement);
    let same = 0;
    while (same < Math.min(last, this.drawn.length - 1) && this.drawn[same].key === keys[same]) same += 1;
    for (const old of this.drawn.splice(same)) old.element.remove();
    this.next = same ? this.drawn[same - 1].next : 0;
    for (let i = same; i <= last; i += 1) {
      const emit = (text, at) => this.#emit(text, at);
      const element = blocks[i].kind === "plain"
        ? make("div.raw", {}, emit(source, Array.from({ length: source.length }, (_, n) => n))) : drawBlock(blocks[i], emit);
      if (i === last) element.append(...this.#skipped(tokens.length));
      this.element.append(element);
      this.drawn.push({ key: keys[i], element, next: this.next });
    }
    if (!blocks.length) this.element.replaceChildren(...(this.next = 0, this.#skipped(tokens.length)));
    this.#mark();
    if (hadFocus && !this.element.contains(document.activeElement)) this.move(this.spanOf(this.current));
  }

  // Nodes for a text: a span for each token, white space before its word outside.
  #emit(text, at) {
    const nodes = [];
    let i = 0;
    while (i < text.length) {
      const n = this.#tokenAt(at[i]);
      const end = this.starts[n + 1] ?? Infinity;
      let j = i + 1;
      while (j < text.length && at[j] < end && at[j] >= this.starts[n]) j += 1;
      const token = this.answer.tokens[n], piece = text.slice(i, j);
      nodes.push(...this.#skipped(n));
      const blank = /^\s*$/.test(piece);
      if (blank && isAsked(token)) {
        nodes.push(...[...piece].flatMap((c, k) => [this.#span(n, k ? "" : visible(c), " blank"), c]));
      } else {
        const space = /^\s*/.exec(piece)[0];
        nodes.push(document.createTextNode(space));
        if (!blank) nodes.push(this.#span(n, piece.slice(space.length)));
      }
      this.next = Math.max(this.next, n + 1);
      i = j;
    }
    return nodes;
  }

  // Tokens that Markdown does not show, such as the stars of a word in bold: where the guide was asked, a small sign.
  #skipped(until) {
    const nodes = [];
    for (; this.next < until; this.next += 1) {
      const token = this.answer.tokens[this.next];
      if (token.text !== "" && isAsked(token)) nodes.push(this.#span(this.next, visible(token.text), " blank"));
    }
    return nodes;
  }

  #span(n, text, more = "") {
    const token = this.answer.tokens[n];
    return make("span", { "data-step": n, class: `step ${token.source}${band(token)}${more}` }, text);
  }

  #tokenAt(place) {
    let low = 0, high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= place) low = middle; else high = middle - 1;
    }
    while (this.answer.tokens[low + 1] && this.starts[low + 1] <= place) low += 1;
    return low;
  }

  get spans() { return [...this.element.querySelectorAll(".step:not(:empty)")]; }

  // Of a token's several parts the one in focus, else the first that is seen.
  spanOf(step) {
    const parts = `.step[data-step="${step}"]`;
    return this.element.querySelector(`${parts}[tabindex]`) ?? this.element.querySelector(`${parts}:not(:empty)`);
  }

  // Dims what other settings would not have repeated; null for nothing.
  dim(known) {
    this.known = known;
    this.#mark();
  }

  #mark() {
    const spans = this.spans;
    for (const span of spans) {
      span.classList.toggle("other", this.known !== null && Number(span.dataset.step) >= this.known);
    }
    if (!spans.length) return;
    let now = this.current >= 0 ? this.spanOf(this.current) : null;
    now ??= spans.find((span) => span.classList.contains("changed")) ?? spans[0];
    if (!now.hasAttribute("tabindex")) {
      for (const span of this.element.querySelectorAll(".step[tabindex]")) span.removeAttribute("tabindex");
      now.tabIndex = 0;
    }
  }

  #focus(span) {
    if (!span.matches(".step")) return;
    for (const other of this.element.querySelectorAll(".step[tabindex]")) {
      if (other === span) continue; // without its tabindex it would lose the focus
      for (const name of ["tabindex", "role", "aria-label", "aria-haspopup"]) other.removeAttribute(name);
    }
    this.current = Number(span.dataset.step);
    const token = this.answer.tokens[this.current];
    span.tabIndex = 0;
    span.setAttribute("role", "button");
    span.setAttribute("aria-haspopup", "dialog");
    span.setAttribute("aria-label", `${visible(token.text)}: ${whyOf(token)}`);
    this.onMove(this.current);
  }

  move(span) {
    if (!span) return;
    span.tabIndex = 0;
    span.focus({ preventScroll: isInView(span) });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches(".step")) return;
    const spans = this.spans, at = spans.indexOf(event.target);
    const asked = (by) => {
      let to = at + by;
      while (spans[to] && !spans[to].matches(".changed, .kept")) to += by;
      return spans[to];
    };
    const keys = {
      ArrowRight: () => spans[at + 1], ArrowLeft: () => spans[at - 1], Home: () => spans[0], End: () => spans.at(-1),
      n: () => asked(1), p: () => asked(-1),
    };
    if (event.key === "Enter" || event.key === " ") this.onOpen(this.current);
    else if (keys[event.key]) this.move(keys[event.key]());
    else return;
    event.preventDefault();
  }

  #click(event) {
    const span = event.target.closest(".step");
    if (!span || event.target.closest("a") || !getSelection().isCollapsed) return;
    this.move(span);
    this.onOpen(Number(span.dataset.step));
  }
}
