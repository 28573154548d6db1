// One question and its answer on the screen: text as it comes, and what it cost. Knows elements, no requests.

import { $ } from "./picture.js";

const SHORTEST_FOR_A_RATE = 100; // milliseconds; below, the browser delivers what came meanwhile in one piece

export class Turn {
  constructor(question) {
    this.element = $("turn").content.firstElementChild.cloneNode(true);
    this.part("asked").textContent = question;
    this.element.setAttribute("aria-busy", "true");
    this.text = "";
    this.started = performance.now();
    $("answers").prepend(this.element);
  }

  part(name) {
    return this.element.querySelector(`.${name}`);
  }

  add(chunk) {
    const [choice] = chunk.choices;
    if (choice?.delta.content) {
      this.first ??= performance.now();
      this.text += choice.delta.content;
      this.part("answer").textContent = this.text;
    }
    if (choice?.finish_reason) {
      this.ended = performance.now();
      this.reason = choice.finish_reason;
    }
    this.usage = chunk.usage ?? this.usage;
  }

  // What to say of it, in one sentence.
  finish() {
    this.element.removeAttribute("aria-busy");
    if (this.first !== undefined) this.figure("First token", seconds(this.first - this.started));
    this.figure("Whole answer", seconds(this.ended - this.started));
    if (this.usage) this.figuresOfUsage(this.usage);
    if (this.reason === "length") this.figure("End", "as long as the model allows");
    return this.text === "" ? "The answer is empty." : `Answer: ${this.text}`;
  }

  figuresOfUsage({ prompt_tokens: prompt, completion_tokens: answer, prompt_tokens_details: details }) {
    const lasted = this.ended - this.first;
    if (lasted >= SHORTEST_FOR_A_RATE) {
      const rate = (1000 * (answer - 1)) / lasted;
      this.figure("Speed", `${rate.toFixed(rate < 10 ? 1 : 0)} tokens/s`);
    }
    this.figure("Length", `${answer} ${answer === 1 ? "token" : "tokens"}`);
    const cached = details.cached_tokens;
    this.figure("Prompt from cache", `${cached} of ${prompt}`).append(bar(cached / prompt));
  }

  stopped() {
    this.element.removeAttribute("aria-busy");
    this.figure("End", "stopped");
  }

  failed(message) {
    this.element.removeAttribute("aria-busy");
    const error = document.createElement("p");
    error.className = "error";
    error.setAttribute("role", "alert");
    error.textContent = message;
    this.part("figures").before(error);
  }

  // A way out, below what went wrong.
  offer(label, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", action);
    const row = document.createElement("div");
    row.className = "row";
    row.append(button);
    this.part("figures").before(row);
  }

  figure(name, value) {
    const group = document.createElement("div");
    const term = document.createElement("dt");
    const description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value;
    group.append(term, description);
    this.part("figures").append(group);
    return description;
  }
}

export function bar(share) {
  const whole = document.createElement("span");
  const part = document.createElement("span");
  whole.className = "bar";
  part.style.width = `${100 * share}%`;
  whole.append(part);
  return whole;
}

export function seconds(milliseconds) {
  return milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
