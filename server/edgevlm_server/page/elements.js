// Finding elements and making them. Knows nothing of what they are for.

export const $ = (id) => document.getElementById(id);

// `children` are elements and texts.
export function make(tag, classes = "", ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

export function button(classes, label, action) {
  const made = make("button", classes, label);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}

// A share from 0 to 1, to be seen at a glance; whoever cannot see it needs words beside it.
export function bar(share) {
  const part = make("span");
  part.style.width = `${100 * share}%`;
  return make("span", "bar", part);
}
