// One user's half of the chat: who is logged in to the made-up app, and the connection, which comes back by itself.
// All its requests go below a path of its own, where its session cookie is.

import { createClient } from "/client.js";

import { Conversation } from "./chat.js";
import { closeSdk, newSdk } from "./loading.js";
import { ask, isGood, watchedFetch } from "./log.js";
import { $, both, element } from "./page.js";
import { codeOf, LOGIN_FIRST, STATES, wordsOf } from "./words.js";

const KEPT = 50; // states
const BROKEN = ["disconnected", "retrying", "stopped"];

export class Pane {
  /** `names` are what a user is called, by username: in Chinese and in English. */
  constructor(path, user, peer, names) {
    Object.assign(this, { path, user, peer });
    this.isLoggedIn = false;
    this.onState = () => {};
    this.connection = null; // {JIM, stop, since} while the page has or wants one
    this.client = createClient({ baseUrl: path, fetch: watchedFetch });
    this.root = document.importNode($("pane").content, true).firstElementChild;
    this.root.id = user;
    this.root.setAttribute("aria-labelledby", `${user}-name`);
    this.find(".avatar").append(both(names[user][0].at(-1), names[user][1][0]));
    this.find("h3").id = `${user}-name`;
    for (const place of this.root.querySelectorAll(".me")) place.replaceWith(both(...names[user]));
    for (const place of this.root.querySelectorAll(".peer")) place.replaceWith(both(...names[peer]));
    this.chat = new Conversation(this, names[peer]);
    this.find(".log-in").addEventListener("click", () => this.logIn());
    this.find(".log-out").addEventListener("click", () => this.logOut());
    this.find(".online").addEventListener("change", (event) => (event.target.checked ? this.connect() : this.goOffline()));
    this.show("logged-out");
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  // ---- the made-up app

  /** Asks for the session, or to change it: one request at a time, for the cookie is that of the last answer. */
  async askSession(method, path, body) {
    this.turn?.abort();
    const turn = (this.turn = new AbortController()).signal;
    const answer = await ask(method, this.path + path, body, turn);
    if (turn.aborted) return false;
    if (!isGood(answer)) {
      this.showError({ message: "", ...answer.body, status: answer.status });
      return false;
    }
    this.disconnect();
    this.isLoggedIn = answer.body.user === this.user;
    if (!this.isLoggedIn) this.chat.clear();
    this.show(this.isLoggedIn ? "offline" : "logged-out");
    return this.isLoggedIn;
  }

  /** Whoever was logged in before the page was loaded anew is connected again. */
  async resume() {
    if (await this.askSession("GET", "/demo/session")) await this.connect();
  }

  async logIn() {
    if (await this.askSession("POST", "/demo/login", { user: this.user })) await this.connect();
  }

  logOut() {
    this.disconnect();
    return this.askSession("POST", "/demo/logout");
  }

  // ---- the connection

  async connect() {
    this.disconnect();
    this.find(".states").replaceChildren();
    const stop = new AbortController();
    const mine = (this.connection = { stop, since: performance.now() });
    this.tell(mine, { name: "connecting" }, false);
    try {
      mine.JIM = await newSdk(this.client);
      if (this.connection !== mine) return closeSdk(mine.JIM);
      this.chat.listen(mine.JIM);
      const onState = (state) => this.tell(mine, state);
      await this.client.connect(mine.JIM, { login: true, signal: stop.signal, onState });
    } catch (error) {
      if (this.connection === mine && !mine.isOver) this.end(mine, error);
    }
  }

  disconnect() {
    const last = this.connection;
    this.connection = null;
    this.chat.leave();
    last?.stop.abort();
    if (last?.JIM) closeSdk(last.JIM);
  }

  goOffline() {
    this.disconnect();
    this.show("offline");
  }

  /** Shows a state of this connection, unless there is a newer one. */
  tell(mine, state, isListed = true) {
    if (this.connection !== mine) return;
    if (isListed) this.list(mine, state);
    this.show(state.name);
    if (state.name === "ready") {
      this.cameBack = false;
      this.chat.start(mine.JIM);
    }
    if (BROKEN.includes(state.name)) this.chat.stop();
    if (state.name === "stopped") this.end(mine, state.error);
  }

  end(mine, error) {
    mine.isOver = true;
    if (error.type !== LOGIN_FIRST || this.cameBack) return this.showError(error);
    this.cameBack = true; // once, until a connection stands
    this.logIn(); // the app has restarted, with other secrets
  }

  // ---- what shows of it

  show(state) {
    this.state = state;
    const isOnline = this.connection !== null;
    this.root.dataset.state = state;
    this.chip(state === "ready" ? "good" : BROKEN.includes(state) ? "bad" : isOnline ? "busy" : "", both(...STATES[state]));
    this.find(".online").checked = isOnline;
    const focused = document.activeElement; // which may be about to go
    for (const name of [".online-label", ".log-out", ".empty-in"]) this.find(name).hidden = !this.isLoggedIn;
    this.find(".empty-out").hidden = this.isLoggedIn;
    if (focused === this.find(".log-in") && this.isLoggedIn) this.find("textarea").focus();
    if (focused === this.find(".log-out") && !this.isLoggedIn) this.find(".log-in").focus();
    this.onState();
  }

  showError(error) {
    const isOver = this.connection !== null;
    this.disconnect();
    if (isOver) this.show("offline");
    this.chip("bad", `${codeOf(error)} `, both(...wordsOf(error)));
  }

  chip(kind, ...words) {
    this.find(".chip").className = `chip ${kind}`;
    this.find(".chip").replaceChildren(...words);
  }

  list(mine, state) {
    const kind = state.name === "ready" ? " good" : BROKEN.includes(state.name) ? " bad" : "";
    const words = [both(...STATES[state.name] ?? [state.name, state.name])];
    if (state.error) words.push(` (${[state.error.code, state.error.message].filter(Boolean).join(" ")})`);
    if (state.delayMs) words.push(` ${(state.delayMs / 1000).toFixed(1)} s`);
    const seconds = ((performance.now() - mine.since) / 1000).toFixed(1);
    const line = element("li", {}, element("span", {}, `${seconds} s`), element("span", { class: `state${kind}` }, ...words));
    this.find(".states").append(line);
    while (this.find(".states").children.length > KEPT) this.find(".states").firstElementChild.remove();
  }
}
