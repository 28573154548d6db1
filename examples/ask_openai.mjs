// Ask about a picture with the openai package for Node, whole and streamed.
//
// npm install openai
// node ask_openai.mjs gauge.jpg "What does the gauge read?"

import { readFile } from "node:fs/promises";
import OpenAI from "openai";

const [picture, question] = process.argv.slice(2);
const data = (await readFile(picture)).toString("base64");
const messages = [
  {
    role: "user",
    content: [
      { type: "image_url", image_url: { url: `data:;base64,${data}` } },
      { type: "text", text: question },
    ],
  },
];

const url = process.env.EDGEVLM_URL ?? "http://127.0.0.1:8000";
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.EDGEVLM_KEY ?? "none" });
const model = (await client.models.list()).data[0].id;

const answer = await client.chat.completions.create({ model, messages });
console.log(answer.choices[0].message.content);

for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
  process.stdout.write(chunk.choices[0].delta.content ?? "");
}
process.stdout.write("\n");
