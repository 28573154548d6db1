// How far an answer can be relied on: from the server's number to words. Knows no elements.

const SURE = 0.9;
const FAIRLY_SURE = 0.6;
const LONGEST_READING = 24; // tokens; a longer text can be put in many ways, so the number of one says little

const WORDS = {
  sure: "Sure",
  fairly: "Fairly sure",
  doubtful: "Doubtful: look for yourself",
  refused: "The model cannot tell",
  open: "",
};

// One of the keys of `WORDS`. `confidence` is from 0 to 1; `refused` says that the answer is none.
export function verdict({ confidence, refused, tokens }) {
  if (refused) return "refused";
  if (typeof confidence !== "number" || tokens > LONGEST_READING) return "open";
  if (confidence >= SURE) return "sure";
  return confidence >= FAIRLY_SURE ? "fairly" : "doubtful";
}

export function inWords(kind) {
  return WORDS[kind];
}

// never 100 %, and rounded down: a number must not promise more than there is
export function percent(confidence) {
  if (confidence > 0.99) return "over 99 %";
  return confidence < 0.01 ? "under 1 %" : `${Math.floor(100 * confidence)} %`;
}
