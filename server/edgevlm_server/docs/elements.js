// Making elements. Knows nothing of what they are for.

export function make(tag, classes, ...children) {
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

// Something to fill in, with its name in front.
export function labelled(name, control) {
  return make("label", "", name, control);
}
