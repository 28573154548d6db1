// One question and its answer on the screen: text as it comes, how sure it is, what it cost. Knows no requests.

import { inWords, percent, verdict } from "./confidence.js";
import { $, bar, button, make } from "./elements.js";
import { draw, fields } from "./part.js";

const SHORTEST_FOR_A_RATE = 100; // milliseconds; below, the browser delivers what came meanwhile in one piece
const THUMBNAIL = 192; // pixels of its longer side

export class Turn {
  // `asked` is {text, name of the picture, part of it, model}; `again()` is called when it is to be shown once more.
  constructor(asked, again) {
    this.asked = asked;
    this.element = $("turn").content.firstElementChild.cloneNode(true);
    this.part("asked").textContent = asked.text;
    this.element.setAttribute("aria-busy", "true");
    this.part("again").setAttribute("aria-label", `Show ${asked.name} again`);
    this.part("again").addEventListener("click", again);
    this.text = "";
    this.begun = new Date();
    this.started = performance.now();
  }

  part(name) {
    return this.element.querySelector(`.${name}`);
  }

  get busy() {
    return this.element.hasAttribute("aria-busy");
  }

  // What was asked about, small. A picture that the browser cannot show is named by what it is.
  async picture(image) {
    try {
      await image.decode();
      draw(this.part("again").firstElementChild, image, this.asked.part, THUMBNAIL);
    } catch {
      this.part("again").textContent = /\.(\w{1,5})$/.exec(this.asked.name)?.[1].toUpperCase() ?? "?";
    }
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
      this.confidence = choice.confidence;
      this.refused = choice.refused;
    }
    this.usage = chunk.usage ?? this.usage;
  }

  // What to say of it, in one sentence.
  finish() {
    const kind = this.judge();
    this.end(kind);
    if (this.first !== undefined) this.figure("First token", seconds(this.first - this.started));
    this.figure("Whole answer", seconds(this.ended - this.started));
    if (this.usage) this.figuresOfUsage(this.usage);
    if (typeof this.confidence === "number") this.figure("Confidence", this.confidence.toFixed(4));
    if (this.reason === "length") this.figure("End", "as long as the model allows");
    if (this.text === "") return "The answer is empty.";
    const words = inWords(kind);
    return words ? `Answer: ${this.text} (${words.toLowerCase()})` : `Answer: ${this.text}`;
  }

  // Only what can be relied on is shown as a reading.
  judge() {
    const { confidence, refused } = this;
    const kind = verdict({ confidence, refused, tokens: this.usage?.completion_tokens ?? Infinity });
    const words = inWords(kind);
    const shown = this.part("verdict");
    shown.hidden = words === "";
    shown.textContent = words;
    // how sure the model is that it cannot tell helps nobody at a line
    if (words && !refused) {
      shown.prepend(bar(confidence));
      shown.append(make("span", "hint", percent(confidence)));
    }
    return kind;
  }

  end(kind) {
    this.kind = kind;
    this.element.removeAttribute("aria-busy");
    this.element.dataset.verdict = kind;
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
    this.end("stopped");
    this.part("verdict").textContent = "Stopped";
    this.part("verdict").hidden = false;
  }

  failed(message) {
    this.end("failed");
    const error = make("p", "error", message);
    error.setAttribute("role", "alert");
    this.part("verdict").before(error);
  }

  // A way out, below what went wrong.
  offer(label, action) {
    const row = make("div", "row");
    row.append(button("", label, action));
    this.part("verdict").before(row);
  }

  figure(name, value) {
    this.part("costs").hidden = false;
    const [group, description] = [make("div"), make("dd", "", value)];
    group.append(make("dt", "", name), description);
    this.part("figures").append(group);
    return description;
  }

  // For the file of all answers, by column; null while it is being answered.
  row() {
    if (this.busy) return null;
    const { text: question, name: picture, part, model } = this.asked;
    const { text: answer, confidence, kind } = this;
    const result = inWords(kind)?.split(":")[0].toLowerCase() ?? kind;
    return { time: this.begun.toISOString(), model, picture, ...fields(part), question, answer, confidence, result };
  }
}

export function seconds(milliseconds) {
  return milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
