// A question as a command line that works as it is pasted, in the folder of the picture. Knows sh's quotes.

import { question } from "./server.js";

export function command(name, part, text, withKey) {
  const url = new URL("v1/chat/completions", document.baseURI);
  const [before, after] = JSON.stringify(question("\0", part, text)).split("\\u0000", 2);
  const key = withKey ? ` \\\n    -H "Authorization: Bearer $EDGEVLM_KEY"` : "";
  return (
    `{ printf %s ${quoted(`${before}data:;base64,`)}\n` +
    `  base64 < ${quoted(name)} | tr -d '\\n'\n` +
    `  printf %s ${quoted(after)}\n` +
    `} | curl ${quoted(url.href)}${key} \\\n` +
    `    -H 'Content-Type: application/json' -d @-\n`
  );
}

// between single quotes nothing means anything but the quote itself
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
