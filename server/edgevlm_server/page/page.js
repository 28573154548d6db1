// The page: what is chosen, what is asked, who may ask. Joins the other files.

import { watchCamera } from "./camera.js";
import { command } from "./curl.js";
import { $, dataUrl, smaller, watchSources } from "./picture.js";
import { ask, modelName, question } from "./server.js";
import { watchStatus } from "./status.js";
import { Turn } from "./turn.js";

const KEY = "edgevlm-key";
const RETRY_SECONDS = 3;
const TOO_LARGE = ["request_too_large", "image_too_large"];

let picture = null; // {file, name, url for this page, data: a promise of the data URL for the server}
let running = null; // AbortController of the question under way
let greetings = 0; // a later one makes what an earlier one hears void: it had another key
let key = sessionStorage.getItem(KEY) ?? "";

// ---- the server and the key

async function greet() {
  const mine = ++greetings;
  try {
    const model = await modelName(key);
    if (mine !== greetings) return;
    $("state").textContent = model;
    $("state").dataset.state = "ready";
    $("key-form").hidden = true;
    $("forget").hidden = key === "";
    lookAtStatus();
  } catch (error) {
    if (mine !== greetings) return;
    $("state").textContent = error.status === 401 ? "locked" : error.message;
    $("state").dataset.state = error.status === 401 ? "locked" : "waiting";
    if (error.status === 401) askForKey(error);
    else setTimeout(greet, 1000 * (error.retryAfter || RETRY_SECONDS));
  }
}

function askForKey(error) {
  $("key-why").textContent = key === "" ? error.message : `The key was not accepted. ${error.message}`;
  $("key-form").hidden = false;
  $("key").focus();
}

function keep(value) {
  key = value;
  if (value === "") sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, value);
}

$("key").addEventListener("input", () => $("key").setCustomValidity(""));
$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = $("key").value.trim();
  if (!/^[!-~]+$/.test(value)) {
    $("key").setCustomValidity("A key is one word of plain letters, digits and signs.");
    $("key").reportValidity();
    return;
  }
  keep(value);
  await greet();
  if ($("key-form").hidden) {
    $("key").value = "";
    $($("status-view").hidden ? "question" : "status-title").focus();
  }
});

$("forget").addEventListener("click", () => {
  keep("");
  $("forget").hidden = true;
  greet();
});

// ---- the picture

function choose(file, suggestion) {
  running?.abort();
  if (picture) URL.revokeObjectURL(picture.url);
  picture = { file, name: file.name, url: URL.createObjectURL(file), data: dataUrl(file) };
  $("stage").classList.add("filled");
  $("empty").hidden = true;
  $("unseen").hidden = true;
  $("preview").hidden = false;
  $("preview").alt = file.name;
  $("preview").src = picture.url;
  $("about").textContent = `${file.name}, ${size(file.size)}`;
  $("answers").replaceChildren();
  $("answers-part").hidden = true;
  $("missing").textContent = "";
  $("say").textContent = `The picture ${file.name} is chosen.`;
  if (suggestion) $("question").value = suggestion;
  // on a phone it would open the keyboard over the picture
  if (!matchMedia("(pointer: coarse)").matches) $("question").focus();
  showCommand();
}

$("preview").addEventListener("load", () => {
  const { naturalWidth: width, naturalHeight: height } = $("preview");
  $("about").textContent += `, ${width} × ${height}`;
});
$("preview").addEventListener("error", () => {
  $("preview").hidden = true;
  $("unseen").hidden = false;
});

function size(bytes) {
  return bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

// ---- the question and its answer

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("question").value.trim();
  if (running) return;
  if (missing("Choose a picture first.", picture === null, $("choose"))) return;
  if (missing("Type a question first.", text === "", $("question"))) return;
  $("missing").textContent = "";
  // the next question can be typed at once, or this one sent again
  if (document.activeElement === $("question")) $("question").select();
  answer(text);
});

$("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("ask").requestSubmit();
});
$("question").addEventListener("input", showCommand);
$("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});

function missing(sentence, isMissing, where) {
  if (isMissing) {
    $("missing").textContent = sentence;
    where.focus();
  }
  return isMissing;
}

async function answer(text) {
  const turn = new Turn(text);
  const { signal } = (running = new AbortController());
  busy(true);
  $("say").textContent = "Asking.";
  try {
    const body = question(await picture.data, text);
    for await (const chunk of ask(body, key, signal)) turn.add(chunk);
    $("say").textContent = turn.finish();
  } catch (error) {
    $("say").textContent = signal.aborted ? "Stopped." : "";
    if (signal.aborted) turn.stopped();
    else failed(turn, error, text);
  } finally {
    running = null;
    busy(false);
  }
}

function failed(turn, error, text) {
  turn.failed(error.message);
  if (error.status === 401) greet();
  if (TOO_LARGE.includes(error.code)) {
    turn.offer("Send a smaller copy", async () => {
      choose(await smaller(picture.file), text);
      answer(text);
    });
  }
}

// the focus goes along: a button that vanishes would leave it nowhere
function busy(isBusy) {
  const wasOn = document.activeElement;
  $("answers-part").hidden = $("answers").childElementCount === 0;
  $("go").disabled = isBusy;
  $("stop").hidden = !isBusy;
  if (isBusy && wasOn === $("go")) $("stop").focus();
  if (!isBusy && (wasOn === $("stop") || wasOn === document.body)) $("question").focus({ preventScroll: true });
}

// ---- the same with curl

function showCommand() {
  $("curl").hidden = picture === null;
  if (picture === null) return;
  $("save").textContent = picture.name;
  $("save").href = picture.url;
  $("save").download = picture.name;
  $("copied").textContent = "";
  const text = $("question").value.trim() || $("question").placeholder;
  $("command").textContent = command(picture, text, key !== "");
}

$("copy").addEventListener("click", async () => {
  const whole = document.createRange();
  whole.selectNodeContents($("command"));
  getSelection().removeAllRanges();
  getSelection().addRange(whole);
  // the clipboard is there only over https and on the machine itself; elsewhere what is selected can be copied
  const done = navigator.clipboard
    ? await navigator.clipboard.writeText($("command").textContent).then(() => true, () => false)
    : document.execCommand("copy");
  $("copied").textContent = done ? "Copied." : "Copying is not allowed here; the command is selected.";
});

// ---- the two views

const lookAtStatus = watchStatus(() => key, greet);

function view() {
  const status = location.hash === "#status";
  $("status-view").hidden = !status;
  $("questions-view").hidden = status;
  $("to-status").setAttribute("aria-current", status ? "page" : "false");
  $("to-questions").setAttribute("aria-current", status ? "false" : "page");
  document.title = status ? "edgevlm: status" : "edgevlm";
  lookAtStatus();
}

addEventListener("hashchange", () => {
  view();
  if (!$("status-view").hidden) $("status-title").focus();
  // the browser itself did not find it: it was hidden
  if (location.hash === "#question") $("question").focus();
});

view();
watchSources(choose);
watchCamera(choose);
greet();
