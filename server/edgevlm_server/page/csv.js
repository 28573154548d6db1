// Rows as a CSV file (RFC 4180) that spreadsheets open as it is meant. Knows nothing of the page.

const NUMBER = /^[-+]?\d+([.,]\d+)*$/;
const FORMULA = /^[=+\-@\t\r]/;

// `rows` are lists of values; null and undefined are empty cells.
export function csv(rows) {
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

// A spreadsheet would run a text that begins like a formula; with an apostrophe in front it is a text.
function cell(value) {
  const text = String(value ?? "");
  const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

// Hands the browser a file to save. The mark in front tells Excel that it is UTF-8.
export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
