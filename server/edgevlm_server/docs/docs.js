// Reads the server's own description and shows it, with a form to try each route. Nothing is loaded from elsewhere.

const root = new URL(".", document.baseURI);
const key = document.getElementById("key");
const state = document.getElementById("state");
const routes = document.getElementById("routes");

function make(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

function address(path) {
  return new URL(path.slice(1), root);
}

function keyed(headers = {}) {
  return key.value ? { ...headers, authorization: `Bearer ${key.value}` } : headers;
}

function resolved(schema, components, seen = []) {
  if (Array.isArray(schema)) return schema.map((one) => resolved(one, components, seen));
  if (schema === null || typeof schema !== "object") return schema;
  if (typeof schema.$ref === "string") {
    const name = schema.$ref.split("/").pop();
    return seen.includes(name) ? { "as above": name } : resolved(components[name], components, [...seen, name]);
  }
  return Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, resolved(value, components, seen)]));
}

function folded(title, value) {
  return make("details", null, make("summary", title), make("pre", JSON.stringify(value, null, 2)));
}

function errors(operation) {
  const table = make("table", null);
  for (const [status, answer] of Object.entries(operation.responses)) {
    table.append(make("tr", null, make("td", status), make("td", answer.description)));
  }
  return table;
}

async function send(method, target, body, shown) {
  const start = performance.now();
  shown.textContent = "…";
  try {
    const headers = keyed(body === null ? {} : { "content-type": "application/json" });
    const response = await fetch(target, { method, headers, body });
    shown.textContent = `${response.status}, ${Math.round(performance.now() - start)} ms\n\n`;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) shown.textContent += piece.value;
  } catch (error) {
    shown.textContent = String(error);
  }
}

function tryOut(method, path, operation) {
  const json = operation.requestBody?.content["application/json"];
  const place = make("input", null);
  place.value = path;
  const shown = make("pre", "");
  shown.hidden = true;
  const parts = [place];
  let text = null;
  if (json) {
    text = make("textarea", null);
    text.spellcheck = false;
    const choice = make("select", null);
    for (const name of Object.keys(json.examples)) choice.append(make("option", name));
    const fill = () => { text.value = JSON.stringify(json.examples[choice.value].value, null, 2); };
    choice.addEventListener("change", fill);
    fill();
    parts.push(choice, text);
  }
  const button = make("button", "Send");
  button.addEventListener("click", () => {
    shown.hidden = false;
    send(method.toUpperCase(), address(place.value), text === null ? null : text.value, shown);
  });
  return make("div", null, ...parts, button, shown);
}

function route(method, path, operation, components) {
  const title = make("summary", null, make("code", `${method.toUpperCase()} ${path}`));
  title.append(` ${(operation.description ?? "").split("\n")[0]}`);
  const one = make("details", null, title);
  const description = make("p", operation.description ?? "");
  description.className = "description";
  one.append(description);
  for (const [type, content] of Object.entries(operation.requestBody?.content ?? {})) {
    one.append(folded(`Body, ${type}`, resolved(content.schema, components)));
  }
  for (const [type, content] of Object.entries(operation.responses["200"]?.content ?? {})) {
    one.append(folded(`Answer, ${type}`, resolved(content.schema, components)));
  }
  const multipart = operation.requestBody && !operation.requestBody.content["application/json"];
  one.append(errors(operation));
  if (!multipart) one.append(tryOut(method, path, operation));
  return one;
}

function show(description) {
  routes.replaceChildren();
  const groups = new Map();
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(route(method, path, operation, description.components.schemas));
    }
  }
  for (const [tag, all] of groups) routes.append(make("h2", tag), ...all);
  state.textContent = `${description.info.title} ${description.info.version}; the description itself: ${address("/openapi.json")}`;
}

async function load() {
  const response = await fetch(address("/openapi.json"), { headers: keyed() });
  const body = await response.json();
  if (response.ok) show(body);
  else state.textContent = body.error.message;
}

document.getElementById("access").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});
load();
