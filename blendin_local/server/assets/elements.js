// Elements of the page. Every text enters through a text node: nothing that a person or a model wrote is markup.

export const $ = (id) => document.getElementById(id);

// make("p.note.quiet", {title: "…"}, "text", child, …); `on…` members are listeners, false and null are left out.
export function make(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return made;
}

export const button = (text, onclick, properties = {}) =>
  make("button", { type: "button", onclick, ...properties }, text);

const PATHS = {
  menu: "M3 6h18M3 12h18M3 18h18", settings: "M4 7h10M18 7h2M4 17h2M10 17h10M16 4v6M8 14v6", close: "M5 5l14 14M19 5L5 19",
  light: "M12 7a5 5 0 1 0 0 10a5 5 0 1 0 0-10M12 2v2M12 20v2M4 4l2 2M18 18l2 2M2 12h2M20 12h2M4 20l2-2M18 6l2-2",
  dark: "M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10z", system: "M4 5h16v11H4zM9 20h6M12 16v4",
  send: "M12 20V5M5 12l7-7 7 7", stop: "M7 7h10v10H7z",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

export const say = (text) => { $("spoken").textContent = text; }; // to a screen reader

// As core/percent.py writes a share, with a space that does not break.
export const percent = (share, digits = 1) =>
  share > 0 && share * 100 < 10 ** -digits / 2
    ? `<${(10 ** -digits).toFixed(digits)}\u00a0%` : `${(share * 100).toFixed(digits)}\u00a0%`;

const WHITE_SPACE = { " ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍" };
// A candidate with its white space and control characters shown; no text is END.
export const visible = (text) => text === "" ? "END"
  : text.replace(/[ \n\t\r]/g, (c) => WHITE_SPACE[c])
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2028\u2029\u2060-\u2069\ufeff]/g,
      (c) => `<U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);

export const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

export function download(name, data, type) {
  const url = URL.createObjectURL(new Blob([data], { type }));
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
