// The openai package for Node as the judge: does what it is told and prints as JSON what its user would have seen.
//
// node judge.mjs URL KEY '{"retries": 0, "ways": ["whole", "streamed", "assembled"], "body": {...}}'

import OpenAI from "openai";

const [url, key, text] = process.argv.slice(2);
const { body, retries, ways } = JSON.parse(text);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: retries });

async function whole() {
  const { data, request_id } = await client.chat.completions.create(body).withResponse();
  const [choice] = data.choices;
  return { text: choice.message.content, reason: choice.finish_reason, usage: data.usage, request_id };
}

async function streamed() {
  const options = { ...body, stream: true, stream_options: { include_usage: true } };
  const chunks = [];
  for await (const chunk of await client.chat.completions.create(options)) chunks.push(chunk);
  return { chunks };
}

// the package's own way to put a stream together
async function assembled() {
  const runner = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
  const { choices, usage } = await runner.finalChatCompletion();
  return { text: choices[0].message.content, reason: choices[0].finish_reason, usage };
}

async function seen(work) {
  try {
    return await work();
  } catch (error) {
    const kinds = Object.keys(OpenAI).filter((name) => name.endsWith("Error") && error instanceof OpenAI[name]);
    const { status, code, param, type, requestID } = error;
    return { error: { name: error.constructor.name, kinds, message: error.message, status, code, param, type, requestID } };
  }
}

const outcome = {};
for (const way of ways) outcome[way] = await seen({ whole, streamed, assembled }[way]);
console.log(JSON.stringify(outcome));
