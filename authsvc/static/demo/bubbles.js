// The messages of one pane as they show: bubbles left and right, below each when it was sent and what became of it.
// A message is {isMine, ctime_ms, content}, and from here on it has the elements that show it.

import { both, element } from "./page.js";
import { codeOf, wordsOf } from "./words.js";

const STATES = {
  sending: ["发送中", "Sending"],
  unread: ["未读", "Unread"],
  read: ["已读", "Read"],
  failed: ["未发出", "Not sent"],
};

export class Bubbles {
  /** `actions` are what the user can do with a message of his own: {retract, transmit}. */
  constructor(list, client, actions) {
    Object.assign(this, { list, client, actions });
    this.isOn = false; // whether something can be done
  }

  clear() {
    this.list.replaceChildren();
  }

  enable(isOn) {
    this.isOn = isOn;
    for (const button of this.list.querySelectorAll("button")) button.disabled = !isOn;
  }

  /** Puts a message where it belongs by its time. */
  add(message) {
    const { content, ctime_ms, isMine } = message;
    message.body = element("div", { class: "body" });
    message.note = element("p", { class: "note" });
    message.item = element("li", { class: `bubble ${isMine ? "mine" : "theirs"}`, "data-ctime": ctime_ms }, message.body, message.note);
    if (content.msg_type === "text") message.body.append(content.msg_body.text);
    this.setState(message);
    const after = [...this.list.children].find((item) => Number(item.dataset.ctime) > ctime_ms);
    this.list.insertBefore(message.item, after ?? null);
    this.scrollDown();
  }

  setState(message, state) {
    if (state) message.item.dataset.receipt = state;
    const words = [new Date(message.ctime_ms).toTimeString().slice(0, 5)];
    if (state) words.push(" · ", both(...STATES[state]));
    if (state === "failed") words.push(": ", codeOf(message.error), " ", both(...wordsOf(message.error)));
    const { retract, transmit } = this.actions;
    if (state === "failed") words.push(" · ", this.button(both("重发", "Send again"), () => transmit(message)));
    if (state === "unread" || state === "read") words.push(" · ", this.button(both("撤回", "Retract"), () => retract(message)));
    const hadFocus = message.note.contains(document.activeElement);
    message.note.replaceChildren(...words);
    if (hadFocus) message.note.querySelector("button")?.focus();
  }

  button(words, run) {
    const button = element("button", { type: "button", class: "link" }, words);
    button.addEventListener("click", run);
    button.disabled = !this.isOn;
    return button;
  }

  showError(message, error) {
    message.note.append(" · ", codeOf(error), " ", both(...wordsOf(error)));
  }

  async showPicture(message) {
    const { media_id, width, height } = message.content.msg_body;
    const img = element("img", { alt: "" });
    if (width && height) img.style.aspectRatio = `${width} / ${height}`;
    message.body.replaceChildren(img);
    try {
      await this.client.showImage(img, media_id);
      img.alt = media_id;
      this.scrollDown();
    } catch (error) {
      message.body.replaceChildren(codeOf(error), " ", both(...wordsOf(error)));
    }
  }

  takeBack(message, [zh, en]) {
    message.item.className = "retracted";
    message.item.replaceChildren(message.isMine ? both("你撤回了一条消息", "You retracted a message")
      : both(`${zh}撤回了一条消息`, `${en} retracted a message`));
  }

  scrollDown() {
    this.list.scrollTop = this.list.scrollHeight;
  }
}
