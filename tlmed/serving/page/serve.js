"use strict";
// Sends images one after the other, and writes what the server answers. Texts are set as text, never as HTML.

const ALARM = 0.05;  // below it, an image is unlike those of training
const MOST_TRIES = 5;  // of an image that the server is too busy for

const form = document.getElementById("form");
const input = document.getElementById("files");
const drop = document.getElementById("drop");
const said = document.getElementById("status");
const results = document.getElementById("results");
const none = document.getElementById("none");
const clear = document.getElementById("clear");
const mostBytes = Number(document.body.dataset.mostBytes);

const waiting = [];
let working = false;

function make(name, text, attributes = {}) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Three decimals; more near 0 and 1, where three would say that it is one of them.
function write(value) {
  const short = value.toFixed(3);
  if ((short !== "0.000" && short !== "1.000") || value === 0 || value === 1) return short;
  const near = value < 0.5 ? value : 1 - value;
  return value < 0.5 ? value.toPrecision(2) : value.toFixed(Math.min(12, Math.ceil(-Math.log10(near)) + 1));
}

function addResult(name) {
  const item = document.getElementById("result").content.cloneNode(true).firstElementChild;
  item.querySelector("h3").textContent = name;
  results.append(item);
  none.hidden = true;
  clear.hidden = false;
  return item.querySelector("article");
}

function refuse(name, reason) {
  const article = addResult(name);
  article.classList.add("refused");
  article.querySelector(".said").append(make("strong", "No answer. "), reason);
  article.querySelector(":scope > .soft").remove();
  return `${name}: no answer. ${reason}`;
}

function name(answer) {
  const predicted = [].concat(answer.prediction);
  return predicted.length ? predicted.join(", ") : "no label";
}

function tabulate(answer, thresholds, title) {
  const table = make("table");
  table.append(make("caption", title));
  const head = make("tr");
  const columns = ["Class", "Probability (calibrated)", "Score"];
  for (const column of columns) head.append(make("th", column, {scope: "col"}));
  const top = make("thead");
  top.append(head);
  const body = make("tbody");
  const predicted = new Set([].concat(answer.prediction));
  for (const [label, score] of Object.entries(answer.scores)) {
    const row = make("tr");
    const first = make("th", label, {scope: "row"});
    if (predicted.has(label)) first.append(make("small", " predicted"));
    const probability = make("td", write(answer.calibrated[label]));
    probability.append(make("progress", undefined, {value: answer.calibrated[label], max: 1, "aria-hidden": "true"}));
    const second = make("td", write(score));
    if (label in thresholds) second.append(make("small", ` from ${write(thresholds[label])} on`));
    row.append(first, probability, second);
    body.append(row);
  }
  table.append(top, body);
  return table;
}

function picture(source, alternative, caption) {
  const figure = make("figure");
  figure.append(make("img", undefined, {src: `data:image/png;base64,${source}`, alt: alternative}));
  figure.append(make("figcaption", caption));
  return figure;
}

function showPictures(place, reply, file) {
  const found = reply.explained;
  if (found === null) {
    place.replaceChildren(make("p", `No picture of the evidence: ${reply.not_explained}`, {class: "soft"}));
    return;
  }
  const part = found.sample ? ` (${found.sample})` : "";
  const evidence = found.empty
    ? `Nothing in the image speaks for ${found.of} (${found.method}).`
    : `Where the evidence for ${found.of} lies: the more, the yellower (${found.method}).`;
  place.replaceChildren(
    picture(found.image, `${reply.file}${part} as the network sees it`, `What the network sees${part}`),
    picture(found.overlay, `${reply.file}${part} with the evidence for ${found.of} in colour`, evidence),
    chooser(place, reply, file),
  );
}

// Lets somebody see the evidence for another class: the file is sent again, as the server kept nothing.
function chooser(place, reply, file) {
  const label = make("label", "Evidence for ");
  const select = make("select");
  for (const name of Object.keys(reply.answers[0].scores)) {
    select.append(make("option", name, name === reply.explained.of ? {selected: ""} : {}));
  }
  select.addEventListener("change", async () => {
    said.textContent = `Looking for the evidence for ${select.value} ...`;
    const [answer, other] = await ask(file, `explain_class=${encodeURIComponent(select.value)}`);
    if (answer?.ok) {
      showPictures(place, other, file);
      place.querySelector("select")?.focus();
      said.textContent = `${file.name}: the evidence for ${other.explained?.of ?? select.value} is shown.`;
    } else {
      said.textContent = other.reason;
    }
  });
  label.append(select);
  const line = make("p");
  line.append(label);
  return line;
}

function show(reply, thresholds, file) {
  const article = addResult(reply.file);
  const several = reply.answers.length > 1;
  const line = article.querySelector(".said");
  const first = reply.answers[0];
  const told = several ? `${reply.answers.length} answers` : name(first);
  line.append("Predicted: ", make("strong", told));
  if (!several && typeof first.prediction === "string") {
    line.append(`, with a probability of ${write(first.calibrated[first.prediction])}`);
  }
  for (const answer of reply.answers) {
    const title = answer.sample ? `${answer.sample}: ${name(answer)}` : "Each class";
    article.querySelector(".numbers").append(tabulate(answer, thresholds, title));
    if (answer.unusual !== null && answer.unusual < ALARM) {
      const which = answer.sample ? `${answer.sample} is` : "It is";
      const warning = make("p", undefined, {class: "notice"});
      warning.append(make("strong", "Unlike the training images. "));
      warning.append(`${which} unlike any image the network was trained on (p = ${write(answer.unusual)}): trust the answer less.`);
      line.after(warning);
    } else if (answer.unusual !== null && !several && !answer.note) {
      article.querySelector(".notes").append(make("li", `Not unlike the training images (p = ${write(answer.unusual)}).`));
    }
    if (answer.note) {
      const warning = make("p", undefined, {class: "notice"});
      const where = answer.sample ? `${answer.sample}: ` : "";
      warning.append(make("strong", "An odd image: "), `${where}${answer.note}. Trust the answer less.`);
      line.after(warning);
    }
  }
  showPictures(article.querySelector(".pictures"), reply, file);
  for (const note of reply.notes) article.querySelector(".notes").append(make("li", note));
  const odd = reply.answers.some((answer) => answer.unusual !== null && answer.unusual < ALARM);
  return `${reply.file}: ${told}${odd ? ", unlike the training images" : ""}`;
}

function pause(seconds) {
  return new Promise((done) => setTimeout(done, 1000 * seconds));
}

// Returns the answer and its content; no answer where the server cannot be reached. A busy server is asked again.
async function ask(file, query) {
  const body = new FormData();
  body.append("file", file, file.name);
  for (let tried = 1; ; tried += 1) {
    try {
      const answer = await fetch(`predict?${query}`, {method: "POST", body});
      const reply = await answer.json();
      if (answer.status !== 503 || tried === MOST_TRIES) return [answer, reply];
      await pause(Number(answer.headers.get("Retry-After")) || 1);
    } catch {
      return [null, {reason: "The server cannot be reached, or the file cannot be read."}];
    }
  }
}

async function send(file) {
  const large = file.size > mostBytes;
  const [answer, reply] = large
    ? [null, {reason: "The file is larger than the server takes."}]
    : await ask(file, "explain=true");
  const ok = answer?.ok ?? false;
  return {ok, said: ok ? show(reply, await findThresholds(), file) : refuse(file.name, reply.reason)};
}

let known = null;

async function findThresholds() {
  if (known === null) known = (await (await fetch("model")).json()).worth.thresholds;
  return known;
}

async function work() {
  if (working) return;
  working = true;
  let done = 0;
  let answered = 0;
  let last = "";
  const before = results.childElementCount;
  while (waiting.length) {
    const file = waiting.shift();
    said.textContent = `Reading ${file.name} (${done + 1} of ${done + 1 + waiting.length}) ...`;
    const answer = await send(file);
    answered += answer.ok ? 1 : 0;
    last = answer.said;
    done += 1;
  }
  working = false;
  input.value = "";
  said.textContent = done === 1 ? last : `${answered} of ${done} files are answered below. The last one: ${last}`;
  const heading = results.children[before]?.querySelector("h3");
  // Whoever went elsewhere meanwhile stays there.
  if (heading && [document.body, input].includes(document.activeElement)) heading.focus();
}

function take(files) {
  waiting.push(...files);
  if (waiting.length) work();
}

input.addEventListener("change", () => take(Array.from(input.files)));
form.addEventListener("submit", (event) => event.preventDefault());
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(Array.from(event.dataTransfer.files));
});
clear.addEventListener("click", () => {
  results.replaceChildren();
  none.hidden = false;
  clear.hidden = true;
  said.textContent = "All answers were removed.";
  input.focus();
});
