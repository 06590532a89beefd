"use strict";
// Shows the candidates of the step under the pointer, or of the current step: the one box. The keyboard moves it;
// a click or Enter pins it, so that the pointer no longer changes what is shown.
(() => {
  const steps = JSON.parse(document.getElementById("steps").textContent);
  const spans = [...document.querySelectorAll(".answer .step")];
  const panel = document.getElementById("inspector");
  const roles = { base: "Base", guide: "Guide", blend: "Blend" };
  let current = 0, pinned = false;

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
    const title = `Step ${step.i}${pinned && at === current ? ", pinned" : ""}`;
    const head = [element("h2", "", title), element("p", "emitted", step.text), element("p", "", step.why)];
    const lists = Object.keys(roles).filter((role) => step[role]).flatMap(
      (role) => [element("h3", "", roles[role]), ...step[role].map(row)]);
    panel.replaceChildren(...head, ...lists);
  };
  const choose = (at) => {
    spans[current].tabIndex = -1;
    spans[current].classList.remove("current");
    current = at;
    spans[at].tabIndex = 0;
    spans[at].classList.add("current");
    show(at);
  };
  const move = (at) => { if (spans[at]) spans[at].focus(); };
  const guided = (from, by) => {
    let at = from + by;
    while (spans[at] && !spans[at].matches(".changed, .kept")) at += by;
    return at;
  };
  const pin = (at, on) => { pinned = on; choose(at); };
  const keys = {
    ArrowRight: () => current + 1, ArrowLeft: () => current - 1, Home: () => 0, End: () => spans.length - 1,
    n: () => guided(current, 1), p: () => guided(current, -1),
  };
  spans.forEach((span, at) => {
    let before = -1; // the step that was pinned when the pointer went down
    span.addEventListener("mouseenter", () => { if (!pinned) show(at); });
    span.addEventListener("mousedown", () => { before = pinned ? current : -1; });
    span.addEventListener("focus", () => choose(at));
    span.addEventListener("click", () => { pin(at, before !== at); before = -1; });
    span.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Enter") pin(at, !pinned);
      else if (keys[event.key]) move(keys[event.key]());
      else return;
      event.preventDefault();
    });
  });
  const first = spans.findIndex((span) => span.matches(".changed"));
  if (spans.length) choose(Math.max(first, 0));
})();
