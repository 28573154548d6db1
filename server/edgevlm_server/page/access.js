// Who may ask, and whether there is a server: the key, the state in the header, and a look every few seconds.

import { $ } from "./elements.js";
import { isReady, model } from "./server.js";

const KEY = "edgevlm-key";
const RETRY_SECONDS = 3;
const LOOK_SECONDS = 5;
const UNREACHABLE = "The server cannot be reached. This page keeps trying; what is here stays.";

let greetings = 0; // a later one makes what an earlier one hears void: it had another key
let timer = null;
let value = sessionStorage.getItem(KEY) ?? "";
let given = false; // a key just now, which the server has not judged yet
let name = ""; // of the model, "" until it was heard

export const key = () => value;
export const modelName = () => name;

// `opened()` is called when the server has let this page in; `unlocked()` when that was because of a key just given.
export function watchAccess(opened, unlocked) {
  const greeted = () => greet(opened, unlocked);
  watchKey(greeted);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && $("state").dataset.state === "ready") look(greeted);
  });
  return greeted;
}

async function greet(opened, unlocked) {
  const again = () => greet(opened, unlocked);
  const mine = ++greetings;
  clearTimeout(timer);
  try {
    const found = await model(value);
    if (mine !== greetings) return;
    name = found.id;
    state("ready", name);
    $("reads").hidden = found.description === "";
    $("reads-text").textContent = found.description;
    $("key-form").hidden = true;
    $("key").value = "";
    $("forget").hidden = value === "";
    timer = setTimeout(look, 1000 * LOOK_SECONDS, again);
    opened();
    if (given) unlocked();
    given = false;
  } catch (error) {
    if (mine !== greetings) return;
    if (error.status === 401) {
      given = false;
      state("locked", "locked");
      askForKey(error);
      return;
    }
    if (error.status === 0) state("gone", "not reachable");
    else state("waiting", error.message);
    timer = setTimeout(again, 1000 * (error.retryAfter || RETRY_SECONDS));
  }
}

// Nothing is asked while nobody sees the page.
async function look(greeted) {
  clearTimeout(timer);
  const mine = greetings;
  const ready = document.hidden || (await isReady());
  if (mine !== greetings) return;
  if (ready) timer = setTimeout(look, 1000 * LOOK_SECONDS, greeted);
  else greeted();
}

function state(now, text) {
  const before = $("state").dataset.state;
  $("state").dataset.state = now;
  $("state").textContent = text;
  $("gone").textContent = now === "gone" ? UNREACHABLE : "";
  if (before === "gone" && now === "ready") $("say").textContent = "The server is back.";
}

// ---- the key

function askForKey(error) {
  $("key-why").textContent = value === "" ? error.message : `The key was not accepted. ${error.message}`;
  $("key-form").hidden = false;
  $("key").focus();
}

function keep(text) {
  value = text;
  if (text === "") sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, text);
}

function watchKey(greeted) {
  $("key").addEventListener("input", () => $("key").setCustomValidity(""));
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("key").value.trim();
    if (!/^[!-~]+$/.test(text)) {
      $("key").setCustomValidity("A key is one word of plain letters, digits and signs.");
      $("key").reportValidity();
      return;
    }
    keep(text);
    given = true;
    greeted();
  });
  $("forget").addEventListener("click", () => {
    keep("");
    $("forget").hidden = true;
    greeted();
  });
}
