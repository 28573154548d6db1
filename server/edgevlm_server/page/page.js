// The page: what is chosen, what is asked, which view is seen. Joins the other files.

import { key, modelName, watchAccess } from "./access.js";
import { addTurn, watchAnswers } from "./answers.js";
import { watchCamera } from "./camera.js";
import { command } from "./curl.js";
import { $ } from "./elements.js";
import { spoken, watchMarker } from "./marker.js";
import { draw, isWhole, keepInAddress, partOfAddress, WHOLE } from "./part.js";
import { dataUrl, smaller, watchSources } from "./picture.js";
import { ask, question } from "./server.js";
import { watchStatus } from "./status.js";
import { Turn } from "./turn.js";

const TOO_LARGE = ["request_too_large", "image_too_large"];
const SEEN_SIDE = 240; // pixels of the drawing of the marked part

let picture = null; // {file, name, url for this page, data: a promise of the data URL for the server}
let part = partOfAddress();
let running = null; // AbortController of the question under way

// ---- the picture

// As it is chosen by hand, the part that is marked stays: the camera may stand still.
function choose(file) {
  if (picture) URL.revokeObjectURL(picture.url);
  picture = { file, name: file.name, url: URL.createObjectURL(file), data: dataUrl(file) };
  $("stage").classList.add("filled");
  $("empty").hidden = true;
  $("unseen").hidden = true;
  $("frame").hidden = false;
  $("preview").alt = file.name;
  $("preview").src = picture.url;
  $("about").textContent = `${file.name}, ${size(file.size)}`;
  $("missing").textContent = "";
  $("say").textContent = `The picture ${file.name} is chosen.`;
  $("part-tools").hidden = false;
  showPart();
  // on a phone it would open the keyboard over the picture
  if (!matchMedia("(pointer: coarse)").matches) $("question").focus();
}

// One that comes with what to ask about it.
function chooseAs(file, thePart, text) {
  changePart(thePart);
  $("question").value = text;
  choose(file);
}

$("preview").addEventListener("load", () => {
  const { naturalWidth: width, naturalHeight: height } = $("preview");
  $("frame").style.setProperty("--ratio", width / height);
  $("about").textContent += `, ${width} × ${height}`;
  showPart();
});
$("preview").addEventListener("error", () => {
  $("frame").hidden = true;
  $("unseen").hidden = false;
  showPart();
});

function size(bytes) {
  return bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

// ---- the part of it that is asked about

const mark = watchMarker((crop) => {
  changePart({ ...part, crop });
  $("say").textContent = crop ? `Marked: ${spoken(crop)}.` : "The whole picture.";
});

$("rotate").addEventListener("click", () => {
  changePart({ ...part, rotate: (part.rotate + 90) % 360 });
  $("say").textContent = part.rotate ? `Turned by ${part.rotate} degrees.` : "Upright.";
});

function changePart(next) {
  part = next;
  keepInAddress(part);
  showPart();
}

// In words too: it holds also for a picture that this browser cannot show.
function showPart() {
  const { crop, rotate } = part;
  mark(crop, picture !== null && !$("frame").hidden);
  $("seen").hidden = picture === null || isWhole(part);
  $("seen-part").hidden = $("preview").naturalWidth === 0;
  if (!$("seen-part").hidden) draw($("seen-part"), $("preview"), part, SEEN_SIDE);
  const words = [crop && "the marked part", rotate && `turned by ${rotate}°`].filter((text) => text);
  $("seen-words").textContent = `Asked about: ${words.join(", ")}`;
  showCommand();
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
  const asked = { ...picture, part, text };
  const turn = new Turn({ text, name: asked.name, part, model: modelName() }, () => chooseAs(asked.file, asked.part, text));
  turn.picture($("preview"));
  addTurn(turn);
  const { signal } = (running = new AbortController());
  busy(true);
  $("say").textContent = "Asking.";
  try {
    const body = question(await asked.data, asked.part, text);
    for await (const chunk of ask(body, key(), signal)) turn.add(chunk);
    $("say").textContent = turn.finish();
  } catch (error) {
    $("say").textContent = signal.aborted ? "Stopped." : "";
    if (signal.aborted) turn.stopped();
    else failed(turn, error, asked);
  } finally {
    running = null;
    busy(false);
  }
}

function failed(turn, error, asked) {
  turn.failed(error.message);
  if (error.status === 401 || error.status === 0) greet();
  const again = async () => {
    const copy = await smaller(asked.file);
    if (running) return; // meanwhile something else is asked
    chooseAs(copy, asked.part, asked.text);
    answer(asked.text);
  };
  if (TOO_LARGE.includes(error.code)) turn.offer("Send a smaller copy", again);
  // the browser may read what the server does not, as a phone's own pictures
  else if (error.code === "image_unsupported" && !$("frame").hidden) turn.offer("Send a copy as JPEG", again);
}

// the focus goes along: a button that vanishes would leave it nowhere
function busy(isBusy) {
  const wasOn = document.activeElement;
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
  $("command").textContent = command(picture.name, part, text, key() !== "");
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

const greet = watchAccess(
  () => lookAtStatus(),
  () => $($("status-view").hidden ? "question" : "status-title").focus(),
);
const lookAtStatus = watchStatus(key, greet);

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
  const wasHidden = $("questions-view").hidden;
  view();
  if (!$("status-view").hidden) $("status-title").focus();
  // the browser itself did not find it
  if (location.hash === "#question" && wasHidden) $("question").focus();
});

view();
watchAnswers();
watchSources(choose, (file, text) => chooseAs(file, WHOLE, text));
watchCamera(choose);
greet();
