// What every part of the page uses: elements, and texts in two languages. A text is made in both at once; the lang
// attribute of the root decides which one shows (demo.css), and speak() sets what CSS cannot reach.

export const $ = (id) => document.getElementById(id);

export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function both(zh, en) {
  const made = document.createDocumentFragment();
  made.append(element("span", { lang: "zh-CN" }, zh), element("span", { lang: "en" }, en));
  return made;
}

export function speak(lang) {
  document.documentElement.lang = lang;
  document.title = lang === "en" ? "authsvc demo" : "authsvc 演示";
  for (const button of document.querySelectorAll("button[lang]")) {
    button.setAttribute("aria-pressed", String(button.lang === lang));
  }
  for (const labelled of document.querySelectorAll("[data-zh]")) {
    const words = lang === "en" ? labelled.dataset.en : labelled.dataset.zh;
    labelled.setAttribute("aria-label", words);
    if (labelled.localName === "textarea") labelled.placeholder = words;
  }
}

export function badge(word, isGood) {
  return element("b", { class: isGood ? "badge good" : "badge bad" }, word);
}

/** One place that shows what came of what was begun there last. */
export class Outcome {
  constructor(root) {
    this.root = root;
  }

  /** @returns a signal that is aborted when it is begun again: a late answer shows nothing then. */
  begin() {
    this.turn?.abort();
    this.turn = new AbortController();
    this.show();
    return this.turn.signal;
  }

  /** Shows these words; isGood is undefined for what is neither. */
  show(isGood, ...words) {
    if (isGood === undefined) delete this.root.dataset.outcome;
    else this.root.dataset.outcome = isGood ? "good" : "bad";
    this.root.querySelector(".result").replaceChildren(...words);
  }
}
