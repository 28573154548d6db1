// Reads the server's own description and shows it, a group of routes after another. Nothing is loaded from elsewhere.

import { call, keep } from "./api.js";
import { $, make } from "./elements.js";
import { route } from "./route.js";

let loads = 0; // a later one makes what an earlier one hears void: it had another key

async function load() {
  const mine = ++loads;
  try {
    const response = await call("openapi.json");
    const body = await response.json();
    if (mine !== loads) return;
    if (response.ok) show(body);
    else refused(response.status, body.error.message);
  } catch {
    if (mine === loads) state("gone", "not reachable");
  }
}

function show({ info, paths, components }) {
  state("ready", `${info.title} ${info.version}`);
  $("access").hidden = true;
  const groups = new Map();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? "other";
      groups.set(tag, [...(groups.get(tag) ?? []), route(method, path, operation, components.schemas)]);
    }
  }
  $("routes").replaceChildren(...[...groups].flatMap(([tag, all]) => [make("h2", "", tag), ...all]));
}

function refused(status, message) {
  state(status === 401 ? "locked" : "waiting", status === 401 ? "locked" : message);
  if (status !== 401) return;
  $("why").textContent = message;
  $("access").hidden = false;
  $("key").focus();
}

function state(now, text) {
  $("state").dataset.state = now;
  $("state").textContent = text;
}

// The page can be switched off; then nothing leads there.
async function lead() {
  const found = await call("", { method: "HEAD" }).catch(() => null);
  for (const link of document.querySelectorAll("a.page")) link.hidden = !found?.ok;
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  keep($("key").value.trim());
  load();
});
lead();
load();
