// The page: conversations, questions, streamed answers, and the branches of an answer side by side.

import { getJson, getText, hasKey, setKey, stream } from "./api.js";
import { $, button, counted, download, icon, make, say } from "./elements.js";
import {
  AnswerText, EXCESS_WARNING, countsOf, footerOf, hasForm, incompleteOf, isAsking, isExcessive, textOf,
} from "./answer.js";
import { Popover } from "./popover.js";
import { WhatIf } from "./what_if.js";
import { Conversations, loadSettings, newConversation, newId, saveSettings } from "./conversations.js";

const CANDIDATES = 8;
const COMPARED = ["base", "guide", "nudging", "blendin"];
const EXAMPLES = [
  "Explain in three sentences why the sky is blue.", "Write a short list of things to check before a long bike ride.",
  "What is the difference between a comet and an asteroid?",
];
const LEGENDS = {
  source: [["changed", "changed", "by the guide"], ["kept", "kept", "though the guide was asked"], ["base", "plain", "not asked"]],
  prob: [["high", "80 % or more", "top-1 probability of the base"], ["medium", "from 40 %", ""], ["low", "from 10 %", ""],
    ["lowest", "below 10 %", ""]],
  plain: [],
};
const FORCED = ["forced", "forced", "by the form"];
const RARE_MARKS = {
  source: [["chosen", "chosen", "by you"], ["given", "given", "what the answer was begun with"], FORCED],
  prob: [FORCED], plain: [],
};
const THEMES = { system: "as the system's", light: "light", dark: "dark" };

const settings = loadSettings({
  method: "", threshold: null, alpha: null, temperature: null, max_tokens: null, seed: null, system: "", json_schema: "",
  theme: "system", view: "source", markdown: true, compare: false, compared: null,
});
const conversations = new Conversations();
const popover = new Popover();
const running = new Map(); // answers on their way, with what stops them
const views = new Map(); // answers on the page
let pair = { name: "", methods: [], method: "blendin", threshold: 0.15 };
let conversation = newConversation();

// ---- what the server has

async function connect() {
  try {
    const { data } = await getJson("/v1/models");
    const [first, ...others] = data;
    pair = {
      name: first.id, method: first.blend.method, threshold: first.blend.threshold, models: first.blend.models,
      methods: others.map((each) => each.blend.method),
    };
    $("model").textContent = pair.name;
    $("model").title = Object.entries(pair.models ?? {}).map(([role, name]) => `${role}: ${name}`).join("\n");
    document.title = `blendin: ${pair.name}`;
    if (!pair.methods.includes(settings.method)) settings.method = "";
    $("notice").replaceChildren();
    showNow();
    showTurns();
  } catch (error) { showProblem(error); }
}

function showProblem(error) {
  const needsKey = error.status === 401;
  const key = make("input", { type: "password", "aria-label": "API key", autocomplete: "off", required: true });
  const enter = (event) => { event.preventDefault(); setKey(key.value); connect(); };
  $("notice").replaceChildren(make("div.problem", {}, make("p", {}, error.message),
    needsKey ? make("form", { onsubmit: enter }, key, make("button", {}, "Use this key"))
      : error.status === 0 ? button("Try again", connect) : null,
    button(icon("close"), () => $("notice").replaceChildren(), { class: "plain", "aria-label": "Dismiss" })));
  if (needsKey) key.focus();
}

// ---- asking

const activeOf = (turn) => turn.branches[turn.active] ?? turn.branches[0];

function messagesBefore(turn) {
  const messages = settings.system.trim() ? [{ role: "system", content: settings.system }] : [];
  for (const each of conversation.turns) {
    messages.push({ role: "user", content: each.question });
    if (each === turn) break;
    const text = textOf(activeOf(each));
    if (text.trim()) messages.push({ role: "assistant", content: text });
  }
  return messages;
}

function newAnswer(blend, label, more = {}) {
  const method = blend.method || pair.method;
  return {
    id: newId(), label: label || method, method, tokens: [], state: "running", finish: null, error: "",
    blend: { threshold: pair.threshold, alpha: "auto", ...without(blend), method }, ...more,
  };
}

const without = (values) => Object.fromEntries(Object.entries(values).filter(([, each]) => each !== null && each !== ""));
const chosenBlend = (more = {}) =>
  ({ method: settings.method, threshold: settings.threshold, alpha: settings.alpha, json_schema: settings.json_schema.trim(), ...more });

function requestFor(turn, answer, blend, fork) {
  const { method, ...values } = without(blend);
  return {
    model: method ? `${pair.name}:${method}` : pair.name, messages: messagesBefore(turn),
    stream: true, stream_options: { include_usage: true },
    ...without({ temperature: settings.temperature, max_tokens: settings.max_tokens, seed: settings.seed }),
    blend: { ...values, keep: true, candidates: CANDIDATES, ...(fork ? { fork } : {}) },
  };
}

async function run(turn, answer, blend, fork = null) {
  const home = conversation;
  const stopping = new AbortController();
  running.set(answer, stopping);
  showSend();
  try {
    await stream("/v1/chat/completions", requestFor(turn, answer, blend, fork), {
      signal: stopping.signal,
      onComment: (text) => { answer.reading = readingOf(text); redraw(answer); },
      onChunk: (chunk) => { take(answer, chunk); redraw(answer); },
    });
    answer.state = "done";
    answer.serverId = answer.arriving;
  } catch (error) {
    answer.state = error.name === "AbortError" ? "stopped" : "failed";
    answer.error = answer.state === "failed" ? error.message : "";
    if (error.status === 401) showProblem(error);
  }
  delete answer.reading;
  delete answer.arriving;
  running.delete(answer);
  conversations.save(home);
  showSend();
  showList();
  views.get(answer)?.finish();
  showLegend();
  showWarning();
  if (home === conversation) {
    const { steps, asked, changed } = countsOf(answer);
    say(answer.error || `${answer.label}: ${counted(steps, "step")}, ${asked} asked, ${changed} changed.`);
  }
}

function readingOf(text) {
  const found = /^prompt (\w+) (\d+)\/(\d+)$/.exec(text);
  return found ? `The ${found[1]} reads the question: ${found[2]} of ${found[3]} tokens` : "";
}

function take(answer, chunk) {
  answer.arriving = chunk.id;
  for (const choice of chunk.choices) {
    for (const { step, ...token } of choice.blend ?? []) {
      answer.tokens[step] = token; // the same numbers, in a fork too
      answer.reading = "";
    }
    if (choice.finish_reason) answer.finish = choice.finish_reason;
    if (choice.complete !== undefined) answer.complete = choice.complete;
  }
  if (chunk.usage) answer.usage = chunk.usage;
  if (chunk.timings) answer.timings = chunk.timings;
}

function ask(question) {
  popover.close(false);
  const compared = settings.compared ?? COMPARED.filter((each) => pair.methods.includes(each));
  const methods = settings.compare && compared.length ? compared : [settings.method];
  const blends = methods.map((method) => chosenBlend({ method }));
  const branches = blends.map((blend) => newAnswer(blend));
  const preferred = branches.findIndex((each) => each.method === (settings.method || pair.method));
  const turn = { question, branches, active: Math.max(0, preferred), columns: branches.length > 1 };
  conversation.title ||= question.trim().split("\n")[0].slice(0, 60);
  conversation.turns.push(turn);
  conversations.save(conversation);
  showList();
  showTurns();
  branches.forEach((answer, i) => run(turn, answer, blends[i]));
  scrollTo({ top: document.body.scrollHeight });
}

// Another answer to the same question, beside those that are there.
function branch(turn, answer, blend, fork) {
  popover.close(false);
  const later = conversation.turns.slice(conversation.turns.indexOf(turn) + 1);
  if (later.length && !confirm("The turns after this answer belong to it, and are removed. Go on?")) return;
  conversation.turns.length -= later.length;
  turn.branches.push(answer);
  turn.active = turn.branches.length - 1;
  if (fork) turn.columns = true;
  showTurns();
  run(turn, answer, blend, fork);
}

function retry(turn) {
  const blend = chosenBlend();
  branch(turn, newAnswer(blend, `${blend.method || pair.method}, again`), blend, null);
}

const quoted = (text) => `“${text.trim() || text}”`;

function forkAt(turn, from, step, { text, bytes }) {
  const { method, threshold, alpha, json_schema } = from.blend;
  const blend = { method, threshold, alpha, json_schema };
  const tokens = structuredClone(from.tokens.slice(0, step));
  const answer = newAnswer(blend, `${quoted(text)} at ${step + 1}`, { tokens, fork: { id: from.id, step } });
  branch(turn, answer, blend, { id: from.serverId, step, bytes });
}

function goOn(turn, from, step, chosen) {
  const blend = { ...chosen, json_schema: from.blend.json_schema };
  const tokens = structuredClone(from.tokens.slice(0, step));
  const alpha = typeof blend.alpha === "number" ? `, weight ${blend.alpha}` : "";
  const answer = newAnswer(blend, `${blend.method}, ${blend.threshold}${alpha}`, { tokens, fork: { id: from.id, step } });
  branch(turn, answer, blend, { id: from.serverId, step });
}

// ---- answers on the page

class AnswerCard {
  constructor(turn, answer, isLast) {
    this.turn = turn;
    this.answer = answer;
    this.isLast = isLast;
    this.text = new AnswerText(answer, {
      markdown: () => settings.markdown && !hasForm(answer),
      onOpen: (step) => this.#candidates(step),
      onMove: (step) => { if (popover.isOpen) this.#candidates(step); },
    });
    this.working = make("p.working");
    this.problem = make("div");
    this.facts = make("span");
    this.actions = make("div.actions");
    this.incomplete = make("p.warning");
    this.warning = make("p.warning");
    this.below = make("footer", {}, this.facts, this.incomplete, this.warning, this.actions);
    this.element = make("article.card", { "aria-label": `Answer: ${answer.label}` },
      turn.columns && turn.branches.length > 1 ? this.#head() : null, this.text.element, this.working, this.problem, this.below);
    views.set(answer, this);
    this.finish();
  }

  #head() {
    const active = activeOf(this.turn) === this.answer;
    const choose = button(active ? "Goes on" : "Go on with this", () => {
      this.turn.active = this.turn.branches.indexOf(this.answer);
      conversations.save(conversation);
      showTurns();
    }, { class: "text", "aria-pressed": active });
    return make("header", {}, make("strong", { title: this.answer.label }, this.answer.label), choose);
  }

  #candidates(step) {
    const { answer, turn } = this;
    const canFork = answer.serverId && isAsking(answer.tokens[step]);
    const anchor = () => this.text.spanOf(step);
    popover.show(answer.tokens[step], step, anchor, canFork ? (candidate) => forkAt(turn, answer, step, candidate) : null);
  }

  draw() {
    const atEnd = innerHeight + scrollY > document.body.scrollHeight - 120;
    const isRunning = this.answer.state === "running";
    this.text.draw();
    this.working.hidden = !isRunning;
    this.working.textContent = this.answer.reading || (this.answer.tokens.length ? "" : "Waiting for the first word");
    this.facts.textContent = footerOf(this.answer);
    this.incomplete.textContent = incompleteOf(this.answer);
    this.below.hidden = !this.facts.textContent && isRunning;
    this.text.element.setAttribute("aria-busy", isRunning);
    if (isRunning && atEnd) scrollTo({ top: document.body.scrollHeight });
  }

  finish() {
    const { answer, turn } = this;
    this.draw();
    this.problem.replaceChildren(answer.error ? make("div.problem", { role: "alert" }, make("p", {}, answer.error)) : "");
    if (answer.state === "running") return;
    this.whatIfButton = answer.serverId && answer.tokens.length
      ? button("What if…", () => this.toggleWhatIf(), { class: "text what", "aria-expanded": false }) : null;
    this.actions.replaceChildren(...[
      this.whatIfButton,
      this.isLast ? button("Retry", () => retry(turn), { class: "text" }) : null,
      button("Copy", () => this.#copy(), { class: "text" }),
      button("JSON", () => exportJson(turn, answer), { class: "text", "aria-label": "Export as JSON" }),
      answer.serverId ? button("HTML", () => exportHtml(answer), { class: "text", "aria-label": "Export as an HTML page" }) : null,
    ].filter(Boolean));
  }

  async #copy() {
    try { await navigator.clipboard.writeText(textOf(this.answer)); say("Copied."); } catch (error) { showProblem(error); }
  }

  toggleWhatIf() {
    const open = !this.whatIf;
    if (open) {
      this.whatIf = new WhatIf(this.answer, pair.methods, {
        onKnown: (known) => this.text.dim(known),
        onGoOn: (step, blend) => goOn(this.turn, this.answer, step, blend),
      });
      this.below.append(this.whatIf.element);
      this.whatIf.method.focus();
    } else { this.whatIf.close(); this.whatIf = null; }
    this.whatIfButton.setAttribute("aria-expanded", open);
  }
}

// At most once for each frame, however fast the tokens come.
const waiting = new Set();
function redraw(answer) {
  if (!waiting.size) requestAnimationFrame(() => { for (const each of waiting) views.get(each)?.draw(); waiting.clear(); });
  waiting.add(answer);
}

async function exportJson(turn, answer) {
  let record = { messages: messagesBefore(turn), ...answer };
  if (answer.serverId) {
    try { record = await getJson(`/v1/answers/${answer.serverId}`); } catch { /* as far as the page has it */ }
  }
  download("answer.json", JSON.stringify(record, null, 2), "application/json");
}

async function exportHtml(answer) {
  try { download("answer.html", await getText(`/v1/answers/${answer.serverId}/html`), "text/html"); } catch (error) { showProblem(error); }
}

// ---- turns

function showTurns() {
  views.clear();
  const { turns } = conversation;
  $("turns").replaceChildren(...(turns.length ? turns.map(turnOf) : [welcome()]));
  showLegend();
  showWarning();
}

// The marks of the view; those that few conversations have only where they occur.
function showLegend() {
  const shown = [...views.keys()];
  const occurs = ([source]) => shown.some((answer) => answer.tokens.some((token) => token.source === source));
  const marks = [...LEGENDS[settings.view], ...RARE_MARKS[settings.view].filter(occurs)];
  $("legend").hidden = !conversation.turns.length;
  $("legend").replaceChildren(...marks.map(([name, word, meaning]) =>
    make("span", {}, make(`span.step.${name}`, {}, word), meaning ? ` ${meaning}` : "")));
}

// In full at the first answer that it concerns; the others have the sign.
function showWarning() {
  const first = [...views.keys()].find(isExcessive);
  for (const [answer, view] of views) view.warning.textContent = answer === first ? EXCESS_WARNING : "";
}

function welcome() {
  return make("section.welcome", {}, make("h2", {}, "Two models, one answer"),
    make("p", {}, "The base answers. Where it is unsure, the guide is asked. Every word shows who spoke: choose one to see ",
      "what each model proposed, and to go on from another."),
    make("ul", {}, EXAMPLES.map((text) => make("li", {}, button(text, () => ask(text), { disabled: !pair.name })))));
}

function turnOf(turn, i) {
  const isLast = i === conversation.turns.length - 1, many = turn.branches.length > 1;
  const shown = many && turn.columns ? turn.branches : [activeOf(turn)];
  const cards = shown.map((answer) => {
    const card = new AnswerCard(turn, answer, isLast);
    if (many && turn.columns && answer === activeOf(turn)) card.element.classList.add("active");
    return card.element;
  });
  const panel = make(many && turn.columns ? "div.columns" : "div", {}, cards);
  return make(many && turn.columns ? "section.turn.wide" : "section.turn", { "aria-label": `Turn ${i + 1}` },
    questionOf(turn, isLast), many ? branchesOf(turn, panel) : null, panel);
}

function questionOf(turn, isLast) {
  const element = make("div.question", {}, make("p", {}, turn.question));
  if (isLast) element.append(button("Edit", () => edit(turn, element), { class: "text" }));
  return element;
}

function edit(turn, element) {
  const field = make("textarea", { rows: 3, "aria-label": "Edit the question" });
  field.value = turn.question;
  const send = (event) => {
    event.preventDefault();
    if (!field.value.trim()) return;
    stopAll(turn);
    conversation.turns.pop();
    ask(field.value);
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") showTurns();
    else if (isSending(event)) send(event);
  });
  element.replaceChildren(make("form", { onsubmit: send }, field,
    make("div", {}, button("Cancel", showTurns), make("button.primary", {}, "Ask again"))));
  field.focus();
}

function branchesOf(turn, panel) {
  const layout = button(turn.columns ? "One at a time" : "Side by side", () => { turn.columns = !turn.columns; showTurns(); },
    { class: "text layout" });
  if (turn.columns) return make("div.branches", {}, layout);
  const choose = (n) => {
    turn.active = (n + turn.branches.length) % turn.branches.length;
    conversations.save(conversation);
    showTurns();
    document.querySelector(`[role="tab"][aria-selected="true"][data-turn="${conversation.turns.indexOf(turn)}"]`)?.focus();
  };
  panel.setAttribute("role", "tabpanel");
  const tabs = turn.branches.map((answer, n) => button(answer.label, () => choose(n), {
    role: "tab", "aria-selected": String(n === turn.active), tabindex: n === turn.active ? 0 : -1,
    "data-turn": conversation.turns.indexOf(turn), title: answer.label,
  }));
  const list = make("div", { role: "tablist", "aria-label": "Branches" }, tabs);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) { choose(turn.active + by); event.preventDefault(); }
  });
  return make("div.branches", {}, list, layout);
}

// ---- the list of conversations

function showList() {
  $("conversations").replaceChildren(...conversations.list.map((each) => {
    const current = each.id === conversation.id, title = each.title || "Untitled";
    const item = make(current ? "li.current" : "li", {},
      button(title, () => open(each.id), { class: "open", "aria-current": current ? "true" : null, title }));
    item.append(make("div.more", {},
      button("Rename", () => rename(each, item), { class: "text" }),
      button("Export", () => download("conversation.json", JSON.stringify(each, null, 2), "application/json"), { class: "text" }),
      button("Delete", () => remove(each), { class: "text" })));
    return item;
  }));
}

function open(id) {
  conversation = conversations.find(id) ?? newConversation();
  for (const turn of conversation.turns) {
    for (const answer of turn.branches) if (answer.state === "running" && !running.has(answer)) answer.state = "stopped";
  }
  popover.close(false);
  closeSidebar();
  showTurns();
  showList();
  scrollTo({ top: document.body.scrollHeight });
}

function rename(each, item) {
  const field = make("input", { "aria-label": "Name of the conversation", maxlength: 80 });
  field.value = each.title;
  const done = (keep) => {
    if (keep && field.value.trim()) { each.title = field.value.trim(); conversations.save(each); }
    showList();
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); done(event.key === "Enter"); }
  });
  item.replaceChildren(field);
  field.focus();
  field.select();
}

function remove(each) {
  if (!confirm(`Delete “${each.title}”?`)) return;
  for (const turn of each.turns) stopAll(turn);
  conversations.remove(each.id);
  if (each.id === conversation.id) begin(); else showList();
}

function begin() {
  conversation = newConversation();
  closeSidebar();
  showTurns();
  showList();
  $("question").focus();
}

function toggleSidebar(isOpen) {
  $("sidebar").classList.toggle("open", isOpen);
  $("scrim").hidden = !isOpen;
  $("open-sidebar").setAttribute("aria-expanded", isOpen);
  if (isOpen) $("new").focus();
}
const closeSidebar = () => toggleSidebar(false);

// ---- settings

const numberIn = (text) => text.trim() === "" || Number.isNaN(Number(text)) ? null : Number(text);

function settingsForm() {
  const field = (label, control, hint) => {
    control.id = `setting-${label.toLowerCase().replaceAll(" ", "-")}`;
    return make("div.field", {}, make("label", { for: control.id }, label), control, hint ? make("small.quiet", {}, hint) : null);
  };
  const changed = () => { saveSettings(settings); showNow(); };
  const number = (name, properties) => {
    const control = make("input", {
      type: "number", ...properties, placeholder: "as the server says",
      onchange: () => { settings[name] = numberIn(control.value); changed(); },
    });
    control.value = settings[name] ?? "";
    return control;
  };
  const method = make("select", { onchange: () => { settings.method = method.value; changed(); } },
    make("option", { value: "" }, `${pair.method} (as the server says)`),
    pair.methods.map((name) => make("option", { value: name, selected: name === settings.method }, name)));
  const system = make("textarea", { rows: 3, onchange: () => { settings.system = system.value; changed(); } });
  system.value = settings.system;
  const schema = make("textarea", {
    rows: 3, spellcheck: "false", onchange: () => { settings.json_schema = schema.value; changed(); },
  });
  schema.value = settings.json_schema;
  const key = make("input", {
    type: "password", autocomplete: "off", placeholder: hasKey() ? "is set" : "none",
    onchange: () => { setKey(key.value); connect(); },
  });
  const compared = settings.compared ?? COMPARED;
  const methods = pair.methods.map((name) => {
    const box = make("input", { type: "checkbox", value: name, checked: compared.includes(name) });
    box.addEventListener("change", () => {
      settings.compared = [...$("settings").querySelectorAll("fieldset input:checked")].map((each) => each.value);
      changed();
    });
    return make("label.check", {}, box, name);
  });
  const markdown = make("input", {
    type: "checkbox", checked: settings.markdown,
    onchange: () => { settings.markdown = markdown.checked; changed(); showTurns(); },
  });
  return make("form", { onsubmit: (event) => { event.preventDefault(); toggleSettings(false); } },
    make("header", {}, make("h2", {}, "Settings"),
      button(icon("close"), () => toggleSettings(false), { class: "plain", "aria-label": "Close settings" })),
    field("Method", method),
    field("Threshold", number("threshold", { min: 0, max: 1, step: 0.01 }), "0 to 1; higher: the guide is asked more often"),
    field("Weight of the guide", number("alpha", { min: 0, max: 1, step: 0.05 }), "0 to 1; empty: chosen at each step"),
    field("Temperature", number("temperature", { min: 0, step: 0.1 })),
    field("Most tokens", number("max_tokens", { min: 1, step: 1 })),
    field("Seed", number("seed", { min: 0, step: 1 })),
    field("System text", system),
    field("JSON Schema", schema, "answers are JSON that matches it; {} for any object"),
    make("fieldset", {}, make("legend", {}, "Methods to compare"), methods),
    make("label.check", {}, markdown, "Show Markdown as formatted text"),
    field("API key", key, "kept until this tab is closed"));
}

function toggleSettings(isOpen) {
  $("settings").replaceChildren(...(isOpen ? [settingsForm()] : []));
  $("settings").hidden = !isOpen;
  $("open-settings").setAttribute("aria-expanded", isOpen);
  if (isOpen) $("settings").querySelector("select").focus(); else $("open-settings").focus();
}

function showNow() {
  const { threshold, alpha, temperature } = settings;
  $("now").textContent = [
    settings.method || pair.method, threshold === null ? "" : `threshold ${threshold}`, alpha === null ? "" : `weight ${alpha}`,
    temperature === null ? "" : `temperature ${temperature}`, settings.json_schema.trim() ? "JSON" : "",
  ].filter(Boolean).join(" · ");
}

function showTheme() {
  if (settings.theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = settings.theme;
  $("theme").replaceChildren(icon(settings.theme));
  $("theme").setAttribute("aria-label", `Colours: ${THEMES[settings.theme]}. Change`);
  $("theme").title = `Colours: ${THEMES[settings.theme]}`;
}

function showView() {
  document.body.dataset.view = settings.view;
  document.querySelector(`#views input[value="${settings.view}"]`).checked = true;
  showLegend();
}

function stopAll(turn = null) {
  for (const [answer, stopping] of running) if (!turn || turn.branches.includes(answer)) stopping.abort();
}

function showSend() {
  const busy = running.size > 0;
  $("send").replaceChildren(icon(busy ? "stop" : "send"));
  $("send").setAttribute("aria-label", busy ? "Stop" : "Send");
}

const isSending = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing;

function submit(event) {
  event.preventDefault();
  if (running.size) { stopAll(); return; }
  const question = $("question").value;
  if (!question.trim()) return;
  $("question").value = "";
  ask(question);
}

function start() {
  $("open-sidebar").append(icon("menu"));
  $("open-settings").append(icon("settings"));
  $("ask").addEventListener("submit", submit);
  $("question").addEventListener("keydown", (event) => { if (isSending(event) && !running.size) submit(event); });
  $("new").addEventListener("click", begin);
  $("open-sidebar").addEventListener("click", () => toggleSidebar(!$("sidebar").classList.contains("open")));
  $("scrim").addEventListener("click", closeSidebar);
  $("open-settings").addEventListener("click", () => toggleSettings($("settings").hidden));
  $("compare").checked = settings.compare;
  $("compare").addEventListener("change", () => { settings.compare = $("compare").checked; saveSettings(settings); });
  $("theme").addEventListener("click", () => {
    const names = Object.keys(THEMES);
    settings.theme = names[(names.indexOf(settings.theme) + 1) % names.length];
    saveSettings(settings);
    showTheme();
  });
  $("views").addEventListener("change", (event) => { settings.view = event.target.value; saveSettings(settings); showView(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (!$("settings").hidden) toggleSettings(false);
    else if ($("sidebar").classList.contains("open")) closeSidebar();
  });
  showTheme();
  showView();
  showSend();
  showTurns();
  showList();
  connect();
  $("question").focus();
}

start();
