// The AI SDK with its defaults, by each of its three ways to this API: prints as JSON what its user would have seen.
//
// node ai_sdk.mjs URL PICTURE QUESTION

import { readFileSync } from "node:fs";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, streamText, tool } from "ai";
import { z } from "zod";

const [url, picture, question] = process.argv.slice(2);
const options = { baseURL: `${url}/v1`, apiKey: "none" };
const openai = createOpenAI(options);
const models = {
  responses: openai("edgevlm-demo"),
  chat: openai.chat("edgevlm-demo"),
  compatible: createOpenAICompatible({ name: "edgevlm", ...options })("edgevlm-demo"),
};
const messages = [
  { role: "user", content: [{ type: "text", text: question }, { type: "image", image: readFileSync(picture) }] },
];
const look = tool({ description: "Look closer.", inputSchema: z.object({ at: z.string() }), execute: async () => "no" });
const value = z.enum(["3.0", "834.2"]);
const filled = Output.object({ schema: z.object({ value, unit: z.enum(["bar", "V"]).nullable() }) });
// lists of lists are nothing that is asked of a picture, so the model writes all of it under the schema's grammar
const rows = z.array(z.array(value).max(1)).max(1);
const inOnePiece = Output.object({ schema: z.object({ value, rows }) });

async function streamed(model) {
  let text = "";
  for await (const piece of streamText({ model, messages }).textStream) text += piece;
  return text;
}

async function twice(model, providerOptions) {
  const first = await generateText({ model, messages, providerOptions });
  const again = [...messages, ...first.response.messages, { role: "user", content: "Are you sure?" }];
  return (await generateText({ model, messages: again, providerOptions })).text;
}

async function seen(work) {
  try {
    return await work();
  } catch (error) {
    return { error: error.message };
  }
}

const found = {};
for (const [name, model] of Object.entries(models)) {
  found[name] = {
    whole: await seen(async () => (await generateText({ model, messages, maxOutputTokens: 4000 })).text),
    streamed: await seen(() => streamed(model)),
    tools: await seen(async () => (await generateText({ model, messages, tools: { look } })).text),
    twice: await seen(() => twice(model)),
    unstored: await seen(() => twice(model, { openai: { store: false } })),
  };
}
for (const [name, output] of Object.entries({ filled, inOnePiece })) {
  found[name] = (await generateText({ model: models.chat, messages, output })).output;
}
console.log(JSON.stringify(found));
