// Server-sent events out of the body of a fetch: the text of each event's data. Knows the wire format, not what it says.

const BLANK_LINE = /\r?\n\r?\n/;
const LINE = /\r?\n/;

export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split(BLANK_LINE);
      rest = parts.pop();
      yield* parts.map(dataOf).filter((data) => data !== "");
    }
  } finally {
    // the stream may have failed already, and whoever reads knows why
    reader.cancel().catch(() => {});
  }
}

// lines that begin with a colon are comments, which keep a connection alive
function dataOf(event) {
  const lines = event.split(LINE).filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
}
