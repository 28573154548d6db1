// The status view: how the server and its device are, and the last requests. Knows elements, and when to look again.

import { $, bar, make } from "./elements.js";
import { serverStatus } from "./server.js";
import { seconds } from "./turn.js";

const SECONDS = 2;
const GIB = 2 ** 30;
const MIB = 2 ** 20;

let looks = 0; // a later one makes what an earlier one hears void
let timer = null;
let shown = ""; // which requests the table has

// `key()` is the key to send; `locked()` is called when it is not accepted. Returns what to call when there is another.
export function watchStatus(key, locked) {
  const look = async () => {
    const mine = ++looks;
    clearTimeout(timer);
    if ($("status-view").hidden || document.hidden) return;
    try {
      const status = await serverStatus(key());
      if (mine === looks) show(status);
    } catch (error) {
      if (mine !== looks) return;
      stale(error.message);
      if (error.status === 401) {
        locked();
        return;
      }
    }
    if (mine === looks) timer = setTimeout(look, 1000 * SECONDS);
  };
  document.addEventListener("visibilitychange", look);
  return look;
}

function stale(message) {
  $("stale").textContent = message;
  $("stale").hidden = false;
  $("status-view").classList.add("old");
}

function show(status) {
  $("stale").hidden = true;
  $("status-view").classList.remove("old");
  $("gauges").replaceChildren(...load(status), ...device(status.device), ...rest(status));
  requests(status.last_requests);
}

// ---- the figures

function load({ slots, queue, tokens_per_second: rate, last_minute: minute }) {
  const all = minute.ok + minute.refused + minute.failed + minute.left;
  const bad = [];
  if (minute.refused) bad.push(`${minute.refused} refused`);
  if (minute.failed) bad.push(`${minute.failed} failed`);
  if (minute.left) bad.push(`${minute.left} left by the client`);
  return [
    gauge("Running", `${slots.used} of ${slots.limit}`, { share: slots.used / slots.limit }),
    gauge("Waiting", `${queue.used} of ${queue.limit}`, { share: queue.limit ? queue.used / queue.limit : 0 }),
    gauge("Speed", `${tidy(rate.last_10_seconds)} tokens/s`, { hint: `${tidy(rate.last_minute)} over a minute` }),
    gauge("Requests in a minute", `${all}`, { hint: bad.join(", "), bad: minute.failed > 0 }),
  ];
}

function device(found) {
  if (found === null) return [];
  const { watts, joules, gpu_load: gpu, memory_used_bytes: used, memory_total_bytes: total } = found;
  const made = [temperature(found)];
  if (watts !== null) {
    const hint = joules === null ? "" : `${tidy(joules / 3600)} Wh since the start`;
    made.push(gauge("Power", `${watts.toFixed(1)} W`, { hint: also(hint, found.power_mode) }));
  }
  if (gpu !== null) made.push(gauge("GPU", percent(gpu), { share: gpu }));
  if (used !== null && total !== null) {
    made.push(gauge("Memory", `${(used / GIB).toFixed(1)} of ${(total / GIB).toFixed(1)} GiB`, { share: used / total }));
  }
  return made.filter((one) => one !== null);
}

// of the hottest part
function temperature({ temperatures, throttling }) {
  if (temperatures.length === 0) return null;
  const hottest = temperatures.reduce((one, other) => (other.celsius > one.celsius ? other : one));
  const limit = hottest.throttles_at === null ? "" : `slows down at ${hottest.throttles_at.toFixed(0)} °C`;
  const hint = also(hottest.zone, throttling ? "slowed down now" : limit);
  return gauge("Temperature", `${hottest.celsius.toFixed(1)} °C`, { hint, bad: throttling === true });
}

function rest({ last_minute: minute, image_cache_bytes: images, prefix_cache_bytes: prefixes, ...status }) {
  const prompt = minute.prompt_tokens;
  const made = [cache("Picture cache", images), cache("Prompt cache", prefixes)];
  if (prompt) made.push(gauge("Prompts from the cache", percent(minute.cached_tokens / prompt), { hint: "in a minute" }));
  made.push(gauge("Up for", duration(status.uptime_seconds), { hint: also(status.state, status.version) }));
  return made;
}

function cache(name, { used, limit }) {
  const text = limit ? `${(used / MIB).toFixed(0)} of ${(limit / MIB).toFixed(0)} MiB` : "off";
  return gauge(name, text, { share: limit ? used / limit : undefined });
}

function gauge(name, value, { share, hint = "", bad = false } = {}) {
  const group = make("div", "gauge card");
  group.append(make("dt", "", name), make("dd", "value", value));
  if (hint) group.append(make("dd", bad ? "hint bad" : "hint", hint));
  if (share !== undefined) group.lastChild.append(bar(Math.min(1, share)));
  return group;
}

// ---- the last requests

function requests(all) {
  const these = JSON.stringify(all.map((one) => [one.time, one.id]));
  if (these === shown) return; // so that what is marked stays marked
  shown = these;
  $("no-requests").hidden = all.length > 0;
  $("requests").hidden = all.length === 0;
  $("requests").tBodies[0].replaceChildren(...all.map(row));
}

function row(one) {
  const made = make("tr");
  const time = make("time", "", moment(new Date(1000 * one.time)));
  time.dateTime = new Date(1000 * one.time).toISOString();
  const [when, what] = [make("td"), make("td")];
  when.append(time);
  const word = one.code ?? (one.outcome === "ok" ? "" : one.outcome);
  what.append(make("span", "", one.route ?? "no such path"), make("span", "hint", about(one)));
  what.append(make("span", one.outcome === "failed" ? "hint bad" : "hint", word));
  const result = make("td", "", one.status ? `${one.status}` : "none");
  made.append(when, what, result, make("td", "took", seconds(1000 * one.seconds)));
  return made;
}

function about(one) {
  const known = [one.client ?? ""];
  if (one.pictures) known.push(counted(one.pictures, "picture"));
  if (one.tokens) known.push(counted(one.tokens, "token"));
  // what took no time explains none
  const long = one.stages.filter((stage) => stage.seconds >= 0.001 && stage.seconds > 0.01 * one.seconds);
  known.push(long.map((stage) => `${stage.stage} ${seconds(1000 * stage.seconds)}`).join(", "));
  return known.filter((text) => text !== "").join(" · ");
}

// ---- words

function also(one, other) {
  return [one, other].filter((text) => text).join(", ");
}

function counted(count, thing) {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

function percent(share) {
  return `${(100 * share).toFixed(0)} %`;
}

function tidy(value) {
  return value.toFixed(value >= 0.05 && value < 10 ? 1 : 0);
}

// short, so that a phone has room for the rest
function moment(date) {
  const time = date.toLocaleTimeString([], { hourCycle: "h23" });
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

function duration(total) {
  const minutes = Math.floor(total / 60);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${Math.floor(total)} s`;
}
