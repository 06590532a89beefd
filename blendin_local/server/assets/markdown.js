// Markdown as elements: headings, lists, quotes, code, emphasis, links. Text becomes text nodes and nothing else;
// HTML in it stays text. Each character knows its place in the source, so that the caller can wrap it.
// A subset of CommonMark: what answers of models use.

import { make } from "./elements.js";

const SAFE_LINK = /^(https?:\/\/|mailto:)[^\s]+$/i;
const FENCE = /^ {0,3}(```+|~~~+)\s*([^`]*)$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( +|$)/;
const HEADING = /^ {0,3}(#{1,6})(?: +|$)/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const MAX_DEPTH = 12;

// Lines as {text, at}: `at` is where a line begins in the source.
export function linesOf(source) {
  const lines = [];
  let at = 0;
  for (const text of source.split("\n")) {
    lines.push({ text, at });
    at += text.length + 1;
  }
  return lines;
}

const cut = (line, n) => ({ text: line.text.slice(n), at: line.at + Math.min(n, line.text.length) });
const isBlank = (line) => /^\s*$/.test(line.text);
const begins = (line) => [FENCE, ITEM, HEADING, RULE, QUOTE].some((each) => each.test(line.text));

// The blocks of these lines, each {kind, lines, …}; containers are parsed when they are drawn.
export function blocksOf(lines) {
  const blocks = [];
  let i = 0;
  while (i < lines.length) {
    const line = lines[i];
    let found;
    if (isBlank(line)) { i += 1; continue; }
    const start = i;
    if ((found = FENCE.exec(line.text))) {
      const end = new RegExp(`^ {0,3}${found[1][0]}{${found[1].length},} *$`);
      i += 1;
      while (i < lines.length && !end.test(lines[i].text)) i += 1;
      blocks.push({ kind: "code", lines: lines.slice(start + 1, i), language: found[2].trim() });
      i += 1;
    } else if ((found = HEADING.exec(line.text))) {
      i += 1;
      blocks.push({ kind: "heading", level: found[1].length, lines: [cut(line, found[0].length)] });
    } else if (RULE.test(line.text)) {
      i += 1;
      blocks.push({ kind: "rule", lines: [] });
    } else if (QUOTE.test(line.text)) {
      while (i < lines.length && QUOTE.test(lines[i].text)) i += 1;
      blocks.push({
        kind: "quote", lines: lines.slice(start, i).map((each) => cut(each, QUOTE.exec(each.text)[0].length)),
      });
    } else if (ITEM.test(line.text)) {
      const list = listOf(lines, i);
      blocks.push(list);
      i = list.after;
    } else {
      i += 1;
      while (i < lines.length && !isBlank(lines[i]) && !begins(lines[i])) i += 1;
      blocks.push({ kind: "paragraph", lines: lines.slice(start, i).map(trimmed) });
    }
  }
  return blocks;
}

const trimmed = (line) => cut(line, /^ */.exec(line.text)[0].length);

function listOf(lines, start) {
  const first = ITEM.exec(lines[start].text);
  const ordered = /\d/.test(first[2]), indent = first[1].length;
  const items = [];
  let i = start, loose = false;
  while (i < lines.length) {
    const found = ITEM.exec(lines[i].text);
    if (isBlank(lines[i])) {
      const next = lines.slice(i).find((each) => !isBlank(each));
      if (!next) break;
      const more = ITEM.exec(next.text), depth = /^ */.exec(next.text)[0].length;
      if (depth <= indent && !(more && /\d/.test(more[2]) === ordered)) break;
      loose = true;
      items.at(-1).push(lines[i]);
      i += 1;
    } else if (found && found[1].length <= indent + 1) {
      if (/\d/.test(found[2]) !== ordered || RULE.test(lines[i].text)) break;
      items.push([cut(lines[i], found[0].length)]);
      i += 1;
    } else if (/^ {2,}/.test(lines[i].text) || (!begins(lines[i]) && !isBlank(lines[i - 1]))) {
      const depth = /^ */.exec(lines[i].text)[0].length;
      items.at(-1).push(cut(lines[i], Math.min(depth, indent + first[2].length + 1)));
      i += 1;
    } else break;
  }
  return { kind: "list", ordered, from: parseInt(first[2], 10), items, loose, lines: lines.slice(start, i), after: i };
}

// Draws one block. `emit(text, at)` makes the nodes for a text whose characters are at the places `at`.
export function drawBlock(block, emit, depth = 0) {
  const inner = (lines) => depth > MAX_DEPTH ? inline(joined(lines), emit)
    : blocksOf(lines).map((each) => drawBlock(each, emit, depth + 1));
  switch (block.kind) {
    case "code": return make("pre", { "data-language": block.language || null },
      make("code", {}, emit(...plain(joined(block.lines)))));
    case "heading": return make(`h${Math.min(6, block.level + 2)}`, {}, inline(joined(block.lines), emit));
    case "rule": return make("hr");
    case "quote": return make("blockquote", {}, inner(block.lines));
    case "list": return make(block.ordered ? "ol" : "ul",
      { start: block.ordered && block.from !== 1 ? block.from : null },
      block.items.map((lines) => make("li", {}, itemOf(lines, block.loose, emit, depth))));
    default: return make("p", {}, inline(joined(block.lines), emit));
  }
}

function itemOf(lines, loose, emit, depth) {
  if (depth > MAX_DEPTH) return inline(joined(lines), emit);
  return blocksOf(lines).flatMap((each) => !loose && each.kind === "paragraph"
    ? inline(joined(each.lines), emit) : [drawBlock(each, emit, depth + 1)]);
}

// Characters with their places: [[char, place], …], a line feed between lines.
function joined(lines) {
  const characters = [];
  lines.forEach((line, n) => {
    if (n) characters.push(["\n", line.at - 1]);
    for (let i = 0; i < line.text.length; i += 1) characters.push([line.text[i], line.at + i]);
  });
  return characters;
}

const plain = (characters) => [characters.map(([c]) => c).join(""), characters.map(([, at]) => at)];

// Emphasis, code and links within a run of characters.
function inline(characters, emit, depth = 0) {
  const [text, places] = plain(characters);
  const nodes = [];
  let from = 0, i = 0;
  const flush = (to) => { if (to > from) nodes.push(...emit(text.slice(from, to), places.slice(from, to))); };
  const take = (begin, end, make_) => { flush(begin); nodes.push(make_()); i = from = end; };
  const within = (a, b) => inline(characters.slice(a, b), emit, depth + 1);
  while (i < text.length) {
    const c = text[i];
    let found;
    if (c === "\\" && /[!-/:-@[-`{-~]/.test(text[i + 1] ?? "")) {
      flush(i);
      from = i + 1;
      i += 2;
    } else if (c === "`" && (found = codeAt(text, i))) {
      const { open, close } = found;
      take(i, close + open, () => make("code", {}, emit(text.slice(i + open, close), places.slice(i + open, close))));
    } else if ((c === "*" || c === "_" || c === "~") && depth < MAX_DEPTH && (found = emphasisAt(text, i))) {
      const { n, close } = found;
      const tag = c === "~" ? "s" : n === 2 ? "strong" : "em";
      take(i, close + n, () => make(tag, {}, within(i + n, close)));
    } else if (c === "[" && (found = /^\[([^\][\n]*)\]\(([^()\s]*)\)/.exec(text.slice(i, i + 2000)))
      && SAFE_LINK.test(found[2])) {
      take(i, i + found[0].length, () => link(found[2], within(i + 1, i + 1 + found[1].length)));
    } else i += 1;
  }
  flush(text.length);
  return nodes;
}

const link = (target, content) =>
  make("a", { href: target, rel: "noreferrer noopener nofollow", target: "_blank", title: target }, content);

function codeAt(text, i) {
  const open = /^`+/.exec(text.slice(i))[0].length;
  for (let close = text.indexOf("`", i + open); close >= 0; close = text.indexOf("`", close)) {
    const n = /^`+/.exec(text.slice(close))[0].length;
    if (n === open) return { open, close };
    close += n;
  }
  return null;
}

function emphasisAt(text, i) {
  const c = text[i], double = text[i + 1] === c, n = double ? 2 : 1;
  if (c === "~" && !double) return null;
  if (/\s/.test(text[i + n] ?? " ") || (c === "_" && /\w/.test(text[i - 1] ?? ""))) return null;
  for (let at = text.indexOf(c.repeat(n), i + n + 1); at >= 0; at = text.indexOf(c.repeat(n), at + 1)) {
    const after = text[at + n] ?? "";
    if (/\s/.test(text[at - 1]) || (c === "_" && /\w/.test(after))) continue;
    if (n === 1 && (after === c || text[at - 1] === c)) { if (after === c) at += 1; continue; }
    return { n, close: n === 2 && after === c ? at + 1 : at };
  }
  return null;
}
