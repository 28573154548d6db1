// The API as the page uses it. Knows requests and errors, nothing of what is on the screen.

import { fields } from "./part.js";
import { events } from "./sse.js";

const SILENCE_SECONDS = 10; // a server that says nothing for so long is gone
const UNREACHABLE = "The server cannot be reached.";

// What went wrong, in the server's words where it had any. `status` is 0 if it did not answer.
export class ServerError extends Error {
  constructor(message, { status = 0, code = "", retryAfter = 0 } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

// The one that is served: its id, and what its maker says that it can read.
export async function model(key) {
  return (await read("v1/models", key)).data[0];
}

// Whether the server is there and takes questions; no key is needed to know.
export async function isReady() {
  const limit = { signal: AbortSignal.timeout(1000 * SILENCE_SECONDS) };
  return call("ready", "", limit).then(() => true, () => false);
}

export async function serverStatus(key) {
  return read("status", key);
}

// The body of a question about a picture, which is a data URL, or about a part of it.
export function question(picture, part, text) {
  const parts = [
    { type: "image_url", image_url: { url: picture }, ...fields(part) },
    { type: "text", text },
  ];
  return { messages: [{ role: "user", content: parts }] };
}

// The chunks of a streamed answer, as they come. Throws a `ServerError`, or an AbortError after `signal`.
export async function* ask(body, key, signal) {
  const response = await call("v1/chat/completions", key, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServerError(chunk.error.message, chunk.error);
      yield chunk;
    }
  } catch (error) {
    // a connection that breaks is a TypeError
    if (error instanceof ServerError || signal.aborted) throw error;
  }
  throw new ServerError("The connection broke off before the answer was whole.");
}

// Throws a `ServerError`, also where an answer breaks off or does not come.
async function read(path, key) {
  const limit = { signal: AbortSignal.timeout(1000 * SILENCE_SECONDS) };
  try {
    return await (await call(path, key, limit)).json();
  } catch (error) {
    throw error instanceof ServerError ? error : new ServerError(UNREACHABLE);
  }
}

async function call(path, key, options) {
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ServerError(UNREACHABLE);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const { status } = response;
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  try {
    const { error } = await response.json();
    return new ServerError(error.message, { status, code: error.code, retryAfter });
  } catch {
    // a proxy in front answers in its own way
    return new ServerError(`The server answered ${status} ${response.statusText}.`, { status, retryAfter });
  }
}
