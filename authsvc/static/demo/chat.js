// The messages between the pane's user and the other one, by the SDK: text and pictures, receipts, retraction, the typing
// notice, and what was missed while away. A message is read once its pane is in front.

import { Bubbles } from "./bubbles.js";
import { both } from "./page.js";
import { picture } from "./picture.js";

const SINGLE = 3;
const RETRACTED = 55; // an event
const TYPING = "typing"; // what the transparent message says
const TYPED_MS = 3000; // between two notices
const TYPING_MS = 5000; // for which one shows
const MAX_FILE = 8 * 1024 * 1024; // the vendor's

export class Conversation {
  constructor(pane, peerNames) {
    Object.assign(this, { pane, peerNames, me: pane.user, peer: pane.peer });
    this.JIM = null; // while connected
    this.isInFront = false;
    this.typedAt = -TYPED_MS;
    this.onUnread = () => {};
    this.bubbles = new Bubbles(pane.find(".messages"), pane.client, {
      retract: (message) => this.retract(message),
      transmit: (message) => this.transmit(message),
    });
    this.clear();
    const form = pane.find(".composer");
    form.addEventListener("submit", (event) => this.submit(event));
    pane.find("textarea").addEventListener("keydown", (event) => {
      // Enter takes a word of an input method, and sends only when there is none.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.submit(event);
    });
    pane.find("textarea").addEventListener("input", () => this.noteTyping());
    pane.find(".file-button").addEventListener("click", () => pane.find(".file").click());
    pane.find(".file").addEventListener("change", (event) => {
      for (const file of event.target.files) this.sendPicture(file, file.name);
      event.target.value = "";
    });
    pane.find(".sample").addEventListener("click", async () => this.sendPicture(await picture(), "sample.png"));
    document.addEventListener("visibilitychange", () => this.report());
    this.stop();
  }

  clear() {
    this.underWay = new Set(); // messages that wait for the gateway's answer
    this.messages = new Map(); // by msg_id
    this.gone = new Set(); // msg_ids that were retracted
    this.read = new Set(); // msg_ids of mine that were read
    this.toReport = new Set(); // msg_ids that were received, and not yet reported as read
    this.unread = 0;
    this.bubbles.clear();
    this.onUnread();
  }

  // ---- the connection

  /** Takes the SDK's events: on each of its objects once, before it connects. */
  listen(JIM) {
    JIM.onMsgReceive(({ messages }) => this.receive(messages.filter((one) => one.msg_type === SINGLE)));
    JIM.onSyncConversation((conversations) => this.sync(conversations));
    JIM.onMsgReceiptChange((told) => this.takeReceipts(told.receipt_msgs));
    JIM.onSyncMsgReceipt((told) => told.forEach((one) => this.takeReceipts(one.receipt_msgs)));
    JIM.onEventNotification((event) => this.takeEvent(event));
    JIM.onSyncEvent((events) => events.forEach((event) => this.takeEvent(event)));
    JIM.onTransMsgRec(({ from_username, cmd }) => {
      if (from_username === this.peer && cmd === TYPING) this.showTyping(true);
    });
  }

  start(JIM) {
    this.JIM = JIM;
    this.enable(true);
    this.report();
  }

  /** While the connection is broken nothing can be sent. What is under way the SDK sends again by itself. */
  stop() {
    this.JIM = null;
    this.enable(false);
    this.showTyping(false);
  }

  /** The SDK is closed for good: what it had under way is for the user to send again. */
  leave() {
    this.stop();
    for (const message of this.underWay) this.fail(message, { message: "offline" });
  }

  enable(isOn) {
    this.bubbles.enable(isOn);
    for (const button of this.pane.root.querySelectorAll(".composer button")) button.disabled = !isOn;
    this.pane.find("textarea").readOnly = !isOn; // disabled would lose the focus
  }

  // ---- out

  submit(event) {
    event.preventDefault();
    const field = this.pane.find("textarea");
    const text = field.value.trim();
    if (!text || !this.JIM) return;
    field.value = "";
    this.typedAt = -TYPED_MS; // what is typed next is another message
    const to = { target_username: this.peer, content: text, need_receipt: true };
    this.send({ msg_type: "text", msg_body: { text } }, (JIM) => JIM.sendSingleMsg(to));
  }

  sendPicture(blob, name) {
    const content = { msg_type: "image", msg_body: {} };
    const message = this.send(content, (JIM) => {
      const image = new FormData();
      image.append("file", blob, name);
      return JIM.sendSinglePic({ target_username: this.peer, image, need_receipt: true });
    });
    if (blob.size > MAX_FILE) this.fail(message, { code: 898061 });
  }

  send(content, call) {
    const message = { isMine: true, content, call, ctime_ms: Date.now() };
    this.bubbles.add(message);
    this.transmit(message);
    return message;
  }

  transmit(message) {
    const attempt = (message.attempt = {});
    const isLate = () => message.attempt !== attempt;
    if (!this.JIM) return this.fail(message, { message: "offline" }); // since a file was chosen, or a picture drawn
    this.underWay.add(message);
    this.bubbles.setState(message, "sending");
    message.call(this.JIM)
      .onSuccess((told, sent) => {
        if (isLate()) return;
        this.underWay.delete(message);
        message.msg_id = told.msg_id;
        message.content.msg_body = sent.content.msg_body;
        this.messages.set(told.msg_id, message);
        this.bubbles.setState(message, this.read.has(told.msg_id) ? "read" : "unread");
        if (message.content.msg_type === "image") this.bubbles.showPicture(message);
      })
      .onFail((error) => isLate() || this.fail(message, error))
      .onTimeout(() => isLate() || this.fail(message, { message: "timeout" }));
  }

  fail(message, error) {
    message.attempt = null;
    this.underWay.delete(message);
    message.error = error;
    this.bubbles.setState(message, "failed");
  }

  retract(message) {
    this.JIM.msgRetract({ msg_id: message.msg_id })
      .onSuccess(() => this.takeBack(message.msg_id))
      .onFail((error) => this.bubbles.showError(message, error));
  }

  noteTyping() {
    const now = performance.now();
    if (!this.JIM || now - this.typedAt < TYPED_MS) return;
    this.typedAt = now;
    this.JIM.transSingleMsg({ target_username: this.peer, cmd: TYPING }).onFail(() => {}); // nobody is there to see it
  }

  // ---- in

  receive(messages) {
    for (const { msg_id, ctime_ms, content } of messages) {
      const isMine = content.from_id === this.me;
      if ((isMine ? content.target_id : content.from_id) !== this.peer || this.messages.has(msg_id)) continue;
      const message = { isMine, msg_id, ctime_ms, content };
      this.messages.set(msg_id, message);
      this.bubbles.add(message);
      if (content.msg_type === "image") this.bubbles.showPicture(message);
      if (isMine) this.bubbles.setState(message, this.read.has(msg_id) ? "read" : "unread");
      else this.expectRead(msg_id);
    }
    this.report();
  }

  expectRead(msg_id) {
    this.toReport.add(msg_id);
    this.unread += 1;
    this.showTyping(false);
  }

  /** What was missed, and with roaming also what was said before. */
  sync(conversations) {
    for (const { msg_type, from_username, msgs, receipt_msgs, unread_msg_count } of conversations) {
      if (msg_type !== SINGLE || from_username !== this.peer) continue;
      const open = new Set(receipt_msgs.filter((one) => one.unread_count > 0).map((one) => one.msg_id));
      for (const one of msgs) if (one.content.from_id === this.me && !open.has(one.msg_id)) this.read.add(one.msg_id);
      const known = this.unread;
      this.receive(msgs);
      if (!this.isFront()) this.unread = Math.min(this.unread, known + unread_msg_count); // the others came before
    }
    this.onUnread();
  }

  isFront() {
    return this.isInFront && document.visibilityState === "visible";
  }

  bringToFront(isInFront) {
    this.isInFront = isInFront;
    this.report();
  }

  /** Lets the sender know what was read: everything, if the pane is in front. */
  report() {
    if (this.isFront()) {
      this.unread = 0;
      const { toReport } = this;
      const msg_ids = [...toReport];
      if (this.JIM && msg_ids.length) {
        toReport.clear();
        this.JIM.resetUnreadCount({ username: this.peer }); // which the SDK keeps
        this.JIM.addSingleReceiptReport({ username: this.peer, msg_ids })
          .onSuccess(() => {})
          .onFail(() => msg_ids.forEach((msg_id) => toReport.add(msg_id)));
      }
    }
    this.onUnread();
  }

  takeReceipts(receipts) {
    for (const { msg_id, unread_count } of receipts) {
      if (unread_count > 0) continue;
      this.read.add(msg_id);
      const message = this.messages.get(msg_id);
      if (message?.isMine && !this.gone.has(msg_id)) this.bubbles.setState(message, "read");
    }
  }

  takeEvent(event) {
    if (event.event_type === RETRACTED) for (const msg_id of event.msgid_list) this.takeBack(msg_id);
  }

  takeBack(msg_id) {
    const message = this.messages.get(msg_id);
    if (!message || this.gone.has(msg_id)) return;
    this.gone.add(msg_id);
    if (this.toReport.delete(msg_id)) this.unread = Math.max(0, this.unread - 1);
    this.onUnread();
    this.bubbles.takeBack(message, this.peerNames);
  }

  showTyping(isTyping) {
    clearTimeout(this.typing);
    const [zh, en] = this.peerNames;
    this.pane.find(".typing").replaceChildren(...(isTyping ? [both(`${zh}正在输入…`, `${en} is typing…`)] : []));
    if (isTyping) this.typing = setTimeout(() => this.showTyping(false), TYPING_MS);
  }
}
