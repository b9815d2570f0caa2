// Making and changing elements. Text from containers goes in as text nodes only.

const AGAIN_MILLISECONDS = 300;

export const byId = (id) => document.getElementById(id);

export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.map((child) => (child instanceof Node ? child : document.createTextNode(child))));
  return element;
}

// Unchanged elements are not touched, so a selection, the focus and a screen reader's place survive a refresh.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

// Put the elements into the parent in this order, moving only those that stand elsewhere.
export function arrange(parent, elements) {
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, place) => {
    if (parent.children[place] !== element) parent.insertBefore(element, parent.children[place] || null);
  });
}

export function fact(name, value, { detail = "", style = "" } = {}) {
  const shown = make("dd", style, value);
  if (detail) shown.append(make("small", "", detail));
  return make("div", "", make("dt", "", name), shown);
}

// A list of facts is replaced only if something in it changed.
export function showFacts(list, facts) {
  const key = facts.map((one) => `${one.outerHTML}`).join("");
  if (list.shown === key) return;
  list.shown = key;
  list.replaceChildren(...facts);
}

// Ask the API for a document. An error is one line of text. A browser drops open requests when a network of the machine
// comes or goes, as with each container that starts. So it asks twice.
export async function ask(path, signal, again = true) {
  let answer;
  let body = null;
  try {
    answer = await fetch(path, { signal, headers: { accept: "application/json" } });
    body = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (again && !answer) {
      await new Promise((resolve) => { setTimeout(resolve, AGAIN_MILLISECONDS); });
      return ask(path, signal, false);
    }
    if (!answer) throw new Error("the monitor does not answer");
  }
  if (!answer.ok || body === null) throw new Error(body && body.error ? body.error : `the monitor answered with status ${answer.status}`);
  return body;
}
