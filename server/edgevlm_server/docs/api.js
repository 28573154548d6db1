// Requests to this server, with the key of whoever reads. Knows addresses and the key, no elements.

const root = new URL(".", document.baseURI);
const KEY = "edgevlm-key"; // the page's, so that it is given once

export function address(path) {
  return new URL(path.replace(/^\//, ""), root);
}

export function keep(key) {
  sessionStorage.setItem(KEY, key);
}

export function call(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  return fetch(address(path), { ...options, headers, cache: "no-store", credentials: "same-origin" });
}
