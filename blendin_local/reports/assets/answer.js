"use strict";
// Shows the candidates of the step under the pointer or the keyboard; a click or Enter keeps them.
(() => {
  const steps = JSON.parse(document.getElementById("steps").textContent);
  const spans = [...document.querySelectorAll(".answer .step")];
  const panel = document.getElementById("inspector");
  const roles = { base: "Base", guide: "Guide", blend: "Blend" };
  let current = 0, picked = -1;

  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  };
  const row = ([name, p, share, won]) => {
    const made = element("div", won ? "row winner" : "row", "");
    const bar = element("div", "bar", "");
    bar.style.width = `calc((100% - 4.1rem) * ${Math.min(1, p)})`;
    made.append(bar, element("div", "name", name), element("div", "p", share));
    return made;
  };
  const show = (at) => {
    const step = steps[at];
    const head = [element("h2", "", `Step ${step.i}`), element("p", "emitted", step.text), element("p", "", step.why)];
    const lists = Object.keys(roles).filter((role) => step[role]).flatMap(
      (role) => [element("h3", "", roles[role]), ...step[role].map(row)]);
    panel.replaceChildren(...head, ...lists);
  };
  const focus = (at) => {
    if (at < 0 || at >= spans.length) return;
    spans[current].tabIndex = -1;
    current = at;
    spans[at].tabIndex = 0;
    spans[at].focus();
  };
  const guided = (from, by) => {
    let at = from + by;
    while (spans[at] && !spans[at].matches(".changed, .kept")) at += by;
    return at;
  };
  const pick = (at) => {
    if (picked >= 0) spans[picked].classList.remove("picked");
    picked = picked === at ? -1 : at;
    if (picked >= 0) spans[picked].classList.add("picked");
  };
  const keys = {
    ArrowRight: () => current + 1, ArrowLeft: () => current - 1, Home: () => 0, End: () => spans.length - 1,
    n: () => guided(current, 1), p: () => guided(current, -1),
  };
  spans.forEach((span, at) => {
    span.addEventListener("mouseenter", () => { if (picked < 0) show(at); });
    span.addEventListener("focus", () => { current = at; show(at); });
    span.addEventListener("click", () => { pick(at); show(at); });
    span.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Enter") pick(at);
      else if (keys[event.key]) focus(keys[event.key]());
      else return;
      event.preventDefault();
    });
  });
  const first = spans.findIndex((span) => span.matches(".changed"));
  if (spans.length) { spans[Math.max(first, 0)].tabIndex = 0; current = Math.max(first, 0); show(current); }
})();
