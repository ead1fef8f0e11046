"use strict";
// All text reaches the page as text (textContent), never as HTML.
const WAIT = 80; // ms without a key press until a search starts
const by = (id) => document.getElementById(id);
const field = by("q"), status = by("status"), columns = by("columns");
const title = document.title;
let running = null, timer = 0;

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children); // strings become text nodes
  return made;
}

async function get(address, signal) {
  const answer = await fetch(address, { signal });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function item(found) {
  const name = element("span", "name");
  // A long name breaks after its dots.
  for (const part of found.name.split(/(?<=\.)/)) name.append(part, document.createElement("wbr"));
  const left = element("span", "", name);
  if (found.right) left.append(element("span", "badge", "✓ right one"));
  const score = element("span", "score", found.score.toFixed(3));
  score.title = "cosine similarity";
  const link = element("a", "", element("span", "head", left, score));
  const where = element("span", "where signature", `${found.kind} · ${found.module} · `);
  where.append(element("code", "", found.signature));
  link.append(where, element("span", "text", found.description));
  Object.assign(link, { href: found.link, target: "_blank", rel: "noopener noreferrer" });
  return element("li", found.right ? "right" : "", link);
}

function show(found) {
  for (const side of ["before", "after"]) {
    const { rank, results } = found[side];
    by(side).querySelector("ol").replaceChildren(...results.map(item));
    const line = by(side).querySelector(".rank");
    line.textContent = rank === null ? "" : `Right entry at rank ${rank.toLocaleString("en")}`;
    line.classList.toggle("first", rank === 1);
  }
  const asked = found.held_out.length > 0;
  say(asked
    ? `This description was held out. Right: ${found.held_out.join(" or ")}, at rank ` +
      `${found.before.rank.toLocaleString("en")} before and ${found.after.rank.toLocaleString("en")} after training.`
    : `The best ${found.after.results.length} before and after training.`);
  columns.hidden = false;
  document.body.dataset.shown = found.query;
}

function say(text, error = false) {
  status.textContent = text;
  status.classList.toggle("error", error);
}

async function search() {
  clearTimeout(timer);
  running?.abort();
  const query = field.value.trim();
  document.title = query ? `${query} – ${title}` : title;
  for (const link of document.querySelectorAll("#examples a")) {
    if (link.textContent === query) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (!query) {
    columns.hidden = true;
    return say("");
  }
  const mine = (running = new AbortController());
  columns.classList.add("stale");
  try {
    const found = await get(`/search?q=${encodeURIComponent(query)}`, mine.signal);
    if (mine === running) show(found);
  } catch (error) {
    if (mine !== running || error.name === "AbortError") return;
    columns.hidden = true;
    say(error instanceof TypeError ? "The server does not answer: was quaterion demo stopped?" : error.message, true);
  } finally {
    if (mine === running) columns.classList.remove("stale");
  }
}

const address = () => (field.value.trim() ? `/?q=${encodeURIComponent(field.value.trim())}` : "/");

function go() { // a step that the back button returns from
  if (location.pathname + location.search !== address()) history.pushState(null, "", address());
  search();
}

function follow() {
  field.value = new URLSearchParams(location.search).get("q") ?? "";
  search();
}

function example(text) {
  const link = element("a", "", text);
  link.href = `/?q=${encodeURIComponent(text)}`;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    field.value = text;
    go();
  });
  return element("li", "", link);
}

function move(event) {
  const lists = ["before", "after"].map((side) => [...by(side).querySelectorAll("li a")]);
  const column = lists.findIndex((links) => links.includes(document.activeElement));
  const steps = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && document.activeElement !== field) {
    event.preventDefault();
    field.select();
    field.focus();
  } else if (event.key === "Escape" && column >= 0) {
    field.focus();
  } else if (event.key === "ArrowDown" && document.activeElement === field && !columns.hidden) {
    event.preventDefault();
    lists[1][0]?.focus();
  } else if (steps && column >= 0) {
    event.preventDefault();
    const row = lists[column].indexOf(document.activeElement) + steps[1];
    const target = row < 0 ? field : lists[column + steps[0]]?.[row];
    target?.focus();
  }
}

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    history.replaceState(null, "", address());
    search();
  }, WAIT);
});
document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  go();
});
addEventListener("popstate", follow);
addEventListener("keydown", move);
get("/facts").then((facts) => {
  const count = (number) => number.toLocaleString("en");
  by("facts").textContent =
    `${count(facts.entries)} functions, classes and methods of Python ${facts.python}. Learned from ` +
    `${count(facts.trained_on)} descriptions; on ${count(facts.held_out)} held out, the mean reciprocal rank went from ` +
    `${facts.mrr[0].toFixed(3)} to ${facts.mrr[1].toFixed(3)}.`;
  field.maxLength = facts.longest;
  by("questions").replaceChildren(...facts.questions.map(example));
  by("descriptions").replaceChildren(...facts.descriptions.map(example));
  by("examples").hidden = false;
  follow();
}).catch((error) => say(error.message, true));
if (matchMedia("(min-width: 760px)").matches) field.focus(); // on a phone, the keyboard would cover the page
