// A stand-in for the vendor's SDK file, for the demo without it: the calls that a page needs to initialise, log in and
// find a picture, and the same events, retransmissions and reconnects on the socket. Sends no messages.
(function () {
  "use strict";

  const ACK_MS = 5000;
  const ANSWER_MS = 30000;
  const TRIES = 5;
  const LOGIN_WAIT_MS = 500; // the vendor's waits that long too
  const FIRST_PAUSE_MS = 1000;
  const LONGEST_PAUSE_MS = 5000;

  // One Socket.IO 2 connection (Engine.IO 3) over WebSocket, which comes back by itself until it is closed.
  class Channel {
    constructor(address, onEvent, onLost) {
      this.address = address;
      this.onEvent = onEvent;
      this.onLost = onLost;
      this.isUp = false;
      this.isClosed = false;
      this.waiting = []; // events from before it was up
      this.failures = 0;
      this.open();
    }

    open() {
      const socket = new WebSocket(this.address + "/socket.io/?EIO=3&transport=websocket");
      this.socket = socket;
      socket.onmessage = (message) => this.hear(String(message.data));
      socket.onclose = () => this.lose();
    }

    hear(packet) {
      clearTimeout(this.silence);
      if (packet[0] === "0") {
        const told = JSON.parse(packet.slice(1));
        this.pinging = setInterval(() => {
          this.socket.send("2");
          clearTimeout(this.silence);
          this.silence = setTimeout(() => this.socket.close(), told.pingTimeout);
        }, told.pingInterval);
      } else if (packet === "40") {
        this.isUp = true;
        this.failures = 0;
        for (const event of this.waiting.splice(0)) this.socket.send(event);
      } else if (packet.startsWith("42")) {
        const [name, data] = JSON.parse(packet.slice(2));
        this.onEvent(name, data);
      }
    }

    lose() {
      clearInterval(this.pinging);
      clearTimeout(this.silence);
      const wasUp = this.isUp;
      this.isUp = false;
      if (this.isClosed) return;
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.failures) * (0.5 + Math.random());
      this.failures += 1;
      this.reopening = setTimeout(() => this.open(), pauseMs);
      if (wasUp) this.onLost();
    }

    emit(name, data) {
      const event = "42" + JSON.stringify([name, data]);
      if (this.isUp) this.socket.send(event);
      else this.waiting.push(event);
    }

    close() {
      this.isClosed = true;
      clearTimeout(this.reopening);
      this.socket.close();
    }
  }

  // What each call returns: handlers may be set in any order, each at most once.
  class Request {
    constructor(send) {
      this.send = send;
      this.handlers = {};
      this.sent = 0;
      this.isAcknowledged = false;
      for (const name of ["onSuccess", "onFail", "onTimeout", "onAck"]) {
        this[name] = (handler) => {
          this.handlers[name] = handler;
          return this;
        };
      }
    }

    tell(name, data) {
      if (this.handlers[name]) this.handlers[name](data);
    }

    // The same event with the same rid again: every 5 s without an ack, every 30 s without an answer.
    transmit() {
      if (this.sent === TRIES) return this.end("onTimeout", { response_timeout: this.isAcknowledged });
      this.sent += 1;
      this.send();
      this.timer = setTimeout(() => this.transmit(), this.isAcknowledged ? ANSWER_MS : ACK_MS);
    }

    acknowledge() {
      if (this.isAcknowledged) return;
      this.isAcknowledged = true;
      clearTimeout(this.timer);
      this.tell("onAck", {});
      this.sent = 1;
      if (this.handlers.onTimeout) this.timer = setTimeout(() => this.transmit(), ANSWER_MS);
    }

    end(name, data) {
      clearTimeout(this.timer);
      this.isOver = true;
      this.tell(name, data);
    }
  }

  window.JMessage = class JMessage {
    constructor(options) {
      this.options = options;
      this.requests = new Map(); // those under way, by rid
      this.appkey = null;
      this.user = null;
      this.connect();
    }

    connect() {
      const client = new Channel(this.options.address, (name, data) => this.hear(name, data), () => this.lose());
      this.channel = { client };
    }

    isConnect() { return this.channel.client.isUp; }
    isInit() { return this.appkey !== null; }
    isLogin() { return this.user !== null; }
    onDisconnect(handler) { this.disconnected = handler; }

    init(payload) {
      return this.ask("c_init", Object.assign({}, payload, { fromPlatForm: "j" }), () => { this.appkey = payload.appkey; });
    }

    login(account) {
      const data = this.accountOf(account);
      return this.ask("login", data, () => { this.user = data.username; }, LOGIN_WAIT_MS);
    }

    register(account) {
      return this.ask("register", this.accountOf(account));
    }

    getResource(wanted) {
      if (!this.isLogin()) throw new Error("must login first");
      return this.ask("get_resource", { media_id: wanted.media_id });
    }

    // Rebuilds the channel: the page has to init again, with a fresh payload.
    loginOut() {
      this.channel.client.close();
      this.forget();
      this.connect();
    }

    accountOf(account) {
      if (!this.isInit()) throw new Error("must init first");
      if (!account.is_md5) throw new Error("the stand-in has no MD5: give the password's MD5, and is_md5: true");
      return { username: account.username, password: account.password, is_md5: true, appkey: this.appkey };
    }

    ask(event, data, done, waitMs) {
      const rid = Math.floor(Math.random() * 0x7fffffff);
      const sent = Object.assign({}, data, { rid });
      const request = new Request(() => this.channel.client.emit(event, sent));
      request.done = done || (() => {});
      this.requests.set(rid, request);
      setTimeout(() => request.isOver || request.transmit(), waitMs || 0);
      return request;
    }

    hear(name, data) {
      const request = this.requests.get(data.rid);
      if (!request || request.isOver) return;
      if (name === "ack") return request.acknowledge();
      const { rid, ...answer } = data;
      this.requests.delete(rid);
      if (answer.code) return request.end("onFail", answer);
      request.done();
      request.end("onSuccess", answer);
    }

    // The vendor's SDK tells of it only to those who had logged in.
    lose() {
      if (!this.isLogin()) return;
      this.forget();
      if (this.disconnected) this.disconnected();
    }

    forget() {
      this.appkey = null;
      this.user = null;
    }
  };
})();
