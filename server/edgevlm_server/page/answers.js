// The answers so far, the newest first, and as a file for a spreadsheet. Bounded; gone when the page is closed.

import { csv, save } from "./csv.js";
import { $ } from "./elements.js";

const MOST = 100;
const COLUMNS = ["time", "model", "picture", "crop", "rotate", "question", "answer", "confidence", "result"];

let turns = []; // the oldest first

export function watchAnswers() {
  $("export").addEventListener("click", () => {
    const rows = turns.map((turn) => turn.row()).filter((row) => row !== null);
    save(`edgevlm-${stamp()}.csv`, csv([COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name]))]));
  });
  $("clear").addEventListener("click", () => {
    // one that is still being answered stays
    turns = turns.filter((turn) => turn.busy);
    show();
    $("question").focus();
  });
}

export function addTurn(turn) {
  turns = [...turns, turn].slice(-MOST);
  show();
}

function show() {
  const wanted = turns.map((turn) => turn.element).reverse();
  for (const old of [...$("answers").children]) if (!wanted.includes(old)) old.remove();
  if (wanted[0] && wanted[0] !== $("answers").firstElementChild) $("answers").prepend(wanted[0]);
  $("answers-part").hidden = turns.length === 0;
}

// of now, for a file's name: no colons, which some systems forbid
function stamp() {
  return new Date().toISOString().slice(0, 19).replaceAll(":", "");
}
