// Finding elements and making them. Knows nothing of what they are for.

export const $ = (id) => document.getElementById(id);

export function element(name, classes = "", text = "") {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.textContent = text;
  return made;
}

export function button(label, action) {
  const made = element("button", "", label);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}

// A share from 0 to 1, to be seen at a glance; whoever cannot see it needs words beside it.
export function bar(share) {
  const [whole, part] = [element("span", "bar"), element("span")];
  part.style.width = `${100 * share}%`;
  whole.append(part);
  return whole;
}
