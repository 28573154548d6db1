// A form to try a route: its address, an example of a body or a form's fields, and what comes back.

import { address, call } from "./api.js";
import { button, make } from "./elements.js";
import { frame, withPictures } from "./pictures.js";
import { resolved, takesFiles } from "./schema.js";

const MOST_ROWS = 24;
const FORM = "as a form with files";
const PICTURE = "docs/gauge.jpg"; // what a field for files begins with

export function tryOut(method, path, operation, components) {
  const place = line(path);
  const shown = make("pre");
  shown.hidden = true;
  shown.tabIndex = 0;
  shown.setAttribute("aria-label", "What came back");
  const { element, body } = bodyOf(operation, components);
  const go = button("main", "Send", async () => {
    shown.hidden = false;
    go.disabled = true;
    await send(method.toUpperCase(), place.value, body(), shown);
    go.disabled = false;
  });
  return make("div", "try", labelled("Address", place), ...element, make("div", "row", go), shown);
}

// The elements to fill in, and what makes the options of a request out of them.
function bodyOf(operation, components) {
  const { "application/json": json, "multipart/form-data": form } = operation.requestBody?.content ?? {};
  const examples = Object.entries(json?.examples ?? {}).map(([name, { value }]) => [name, () => jsonBody(value)]);
  if (form) examples.push([FORM, () => formBody(resolved(form.schema, components))]);
  if (examples.length === 0) return { element: [], body: () => ({}) };
  const choice = make("select", "", ...examples.map(([name]) => make("option", "", name)));
  const fields = make("div", "try");
  let chosen;
  const fill = () => {
    chosen = examples[choice.selectedIndex][1]();
    fields.replaceChildren(...chosen.element);
  };
  choice.addEventListener("change", fill);
  fill();
  return { element: [labelled("Example", choice), fields], body: () => chosen.body() };
}

function jsonBody(value) {
  const { shown, whole, elements } = withPictures(JSON.stringify(value, null, 2));
  const text = area(shown);
  return {
    element: [make("div", "pictures", ...elements), labelled("Body", text)],
    body: async () => ({ headers: { "content-type": "application/json" }, body: await whole(text.value) }),
  };
}

function formBody(schema) {
  const fields = Object.entries(schema.properties).map(([name, one]) => (takesFiles(one) ? files : text)(name, one));
  const [first, others] = [true, false].map((begun) => fields.filter((field) => field.begun === begun));
  const rest = make("details", "", make("summary", "", "Other fields"), make("div", "try", ...elementsOf(others)));
  return {
    element: others.length > 0 ? [...elementsOf(first), rest] : elementsOf(first),
    body: () => {
      const body = new FormData();
      for (const { name, values } of fields) for (const value of values()) body.append(name, value);
      return { body };
    },
  };
}

// Something to fill in, with its name in front.
function labelled(name, control) {
  return make("label", "", name, control);
}

function elementsOf(fields) {
  return fields.map((field) => field.element);
}

function line(value) {
  const input = make("input");
  input.value = value;
  input.spellcheck = false;
  return input;
}

// As high as what it holds, within bounds.
function area(value) {
  const input = make("textarea");
  input.value = value;
  input.rows = Math.min(MOST_ROWS, value.split("\n").length);
  input.spellcheck = false;
  return input;
}

// Each field has its name, its element, its values as they are now, and whether it begins with one.

function text(name, { examples = [] }) {
  const [first = ""] = examples;
  const example = typeof first === "string" ? first : JSON.stringify(first, null, 2);
  const input = example.includes("\n") ? area(example) : line(example);
  const values = () => (input.value === "" ? [] : [input.value]);
  return { name, element: labelled(name, input), values, begun: example !== "" };
}

function files(name) {
  let chosen = null;
  const [element, show] = frame(name, true, (those) => (chosen = those));
  call(PICTURE).then((response) => response.blob()).then((blob) => {
    if (chosen !== null) return;
    chosen = [new File([blob], PICTURE.split("/").pop(), { type: blob.type })];
    show(chosen[0]);
  });
  return { name, element, values: () => chosen ?? [], begun: true };
}

// `options` may be a promise.
async function send(method, path, options, shown) {
  const start = performance.now();
  shown.textContent = "…";
  try {
    const response = await call(path, { ...(await options), method });
    shown.textContent = `${response.status}, ${Math.round(performance.now() - start)} ms\n\n`;
    const pretty = response.headers.get("content-type")?.startsWith("application/json");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let whole = "";
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      whole += piece.value;
      if (!pretty) shown.textContent += piece.value;
    }
    if (pretty) shown.textContent += JSON.stringify(JSON.parse(whole), null, 2);
  } catch (error) {
    shown.textContent += `\n${address(path)}: ${error.message}`;
  }
}
