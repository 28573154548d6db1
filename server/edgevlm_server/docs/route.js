// One route as it is described: what it does, takes and answers, and a form to try it.

import { make } from "./elements.js";
import { resolved } from "./schema.js";
import { tryOut } from "./tryout.js";

// Its content is made when it is opened for the first time.
export function route(method, path, operation, components) {
  const [first] = (operation.description ?? "").split("\n\n");
  const title = make("summary", "", make("span", "method", method.toUpperCase()), make("code", "", path), plain(first));
  const one = make("details", "route card", title);
  one.addEventListener("toggle", () => one.append(content(method, path, operation, components)), { once: true });
  return one;
}

function content(method, path, operation, components) {
  const made = make("div", "content");
  // its first line is the title
  const [, more] = plain(operation.description ?? "").split(/\n\n(.*)/s);
  if (more) made.append(make("p", "description", more));
  made.append(tryOut(method, path, operation, components));
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    made.append(folded(`What it takes, ${type}`, resolved(schema, components)));
  }
  for (const [type, { schema }] of Object.entries(operation.responses["200"]?.content ?? {})) {
    made.append(folded(`What it answers, ${type}`, resolved(schema, components)));
  }
  made.append(make("details", "", make("summary", "", "Statuses"), statuses(operation)));
  return made;
}

// without the marks of docstrings
function plain(text) {
  return text.replaceAll("`", "");
}

function folded(title, value) {
  const text = make("pre", "", JSON.stringify(value, null, 2));
  text.tabIndex = 0;
  return make("details", "", make("summary", "", title), text);
}

function statuses(operation) {
  const rows = Object.entries(operation.responses).map(([status, answer]) =>
    make("tr", "", make("td", "", status), make("td", "", plain(answer.description))),
  );
  return make("table", "", make("tbody", "", ...rows));
}
