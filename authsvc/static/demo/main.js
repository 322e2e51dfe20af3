// The demo page: two users who chat, each in a pane with a session and a connection of his own, and below it what is
// behind that. One pane is in front: the one that was touched last.

import { begin } from "./attacks.js";
import { $, speak } from "./page.js";
import { Pane } from "./pane.js";

const NAMES = { ming: ["小明", "Ming"], anna: ["安娜", "Anna"] };
const panes = [
  new Pane("/browser-1", "ming", "anna", NAMES),
  new Pane("/browser-2", "anna", "ming", NAMES),
];

function bringToFront(front) {
  for (const pane of panes) {
    pane.root.classList.toggle("front", pane === front);
    $(`tab-${pane.user}`).setAttribute("aria-pressed", String(pane === front));
    pane.chat.bringToFront(pane === front);
  }
}

for (const pane of panes) {
  $("panes").append(pane.root);
  for (const event of ["focusin", "pointerdown"]) pane.root.addEventListener(event, () => bringToFront(pane));
  $(`tab-${pane.user}`).addEventListener("click", () => bringToFront(pane));
  pane.onState = () => { $("both").hidden = panes.every(({ isLoggedIn }) => isLoggedIn); };
  pane.chat.onUnread = () => {
    for (const mark of [pane.find(".unread"), $(`tab-${pane.user}`).querySelector(".unread")]) {
      mark.textContent = pane.chat.unread || "";
    }
  };
}
for (const button of document.querySelectorAll("button[lang]")) {
  button.addEventListener("click", () => speak(button.lang));
}
$("both").addEventListener("click", () => panes.forEach((pane) => pane.isLoggedIn || pane.logIn()));
speak(/^zh\b/i.test(navigator.language) ? "zh-CN" : "en");
bringToFront(panes[0]);
begin();
await Promise.all(panes.map((pane) => pane.resume()));
