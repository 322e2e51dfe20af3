// A stand-in for the vendor's SDK file, for the demo and for tests without it: the calls that a page needs to initialise,
// log in, receive and find a picture, and the same events, retransmissions and reconnects on the socket. Sends no messages.
// The vendor's versions differ in what they do with their socket; `new JMessage({ version })` takes the habits of one:
//
//   "2.5.0"         keeps its socket, and at each login hangs its listeners on it once more
//   "2.6.0"         makes another socket at each disconnect, and leaves the old one reconnecting
//   "mini-program"  has no socket before init, and makes another at each
(function () {
  "use strict";

  const ACK_MS = 5000;
  const ANSWER_MS = 30000;
  const TRIES = 5;
  const LOGIN_WAIT_MS = 500; // the vendor's waits that long too
  const FIRST_PAUSE_MS = 1000;
  const LONGEST_PAUSE_MS = 5000;

  // One Socket.IO 2 connection (Engine.IO 3) over WebSocket, which comes back by itself until it is closed. Its listeners
  // are kept as the library of the vendor's SDK keeps them.
  class Socket {
    constructor(address) {
      this.address = address;
      this.connected = false;
      this.isClosed = false;
      this.waiting = []; // events from before it was up
      this.failures = 0;
      this._callbacks = {};
      this.open();
    }

    on(name, listener) {
      (this._callbacks["$" + name] = this._callbacks["$" + name] || []).push(listener);
      return this;
    }

    off(name, listener) {
      if (name === undefined) this._callbacks = {};
      else if (listener === undefined) delete this._callbacks["$" + name];
      else this._callbacks["$" + name] = (this._callbacks["$" + name] || []).filter((known) => known !== listener);
      return this;
    }

    fire(name, ...data) {
      for (const listener of (this._callbacks["$" + name] || []).slice()) listener(...data);
    }

    open() {
      const socket = new WebSocket(this.address + "/socket.io/?EIO=3&transport=websocket");
      this.socket = socket;
      socket.onmessage = (message) => this.hear(String(message.data));
      socket.onclose = () => this.lose("transport close");
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
        this.connected = true;
        this.failures = 0;
        for (const event of this.waiting.splice(0)) this.socket.send(event);
      } else if (packet.startsWith("42")) {
        const [name, data] = JSON.parse(packet.slice(2));
        this.fire(name, data);
        this.fire("*", name, data);
      }
    }

    lose(reason) {
      clearInterval(this.pinging);
      clearTimeout(this.silence);
      const wasUp = this.connected;
      this.connected = false;
      if (!this.isClosed) {
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.failures) * (0.5 + Math.random());
        this.failures += 1;
        this.reopening = setTimeout(() => this.open(), pauseMs);
      }
      if (wasUp) this.fire("disconnect", reason);
    }

    emit(name, data) {
      const event = "42" + JSON.stringify([name, data]);
      if (this.connected) this.socket.send(event);
      else this.waiting.push(event);
    }

    close() {
      this.isClosed = true;
      clearTimeout(this.reopening);
      this.socket.close();
      this.lose("io client disconnect");
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
      this.version = options.version || "2.5.0";
      this.appkey = null;
      this.user = null;
      this.handlers = {};
      this.channel = {};
      if (this.version !== "mini-program") this.connect();
      for (const name of ["onDisconnect", "onMsgReceive", "onEventNotification"]) {
        this[name] = (handler) => { this.handlers[name] = handler; };
      }
    }

    connect() {
      this.requests = new Map(); // those under way, by rid
      this.channel.client = new Socket(this.options.address);
      this.channel.client.on("*", (name, data) => this.hear(name, data));
    }

    isConnect() { return Boolean(this.channel.client && this.channel.client.connected); }
    isInit() { return this.appkey !== null; }
    isLogin() { return this.user !== null; }

    tell(name, data) {
      if (this.handlers[name]) this.handlers[name](data);
    }

    init(payload) {
      this.isLeaving = false;
      if (this.version === "mini-program") this.connect();
      return this.ask("c_init", Object.assign({}, payload, { fromPlatForm: "j" }), () => { this.appkey = payload.appkey; });
    }

    login(account) {
      const data = this.accountOf(account);
      return this.ask("login", data, () => this.listen(data.username), LOGIN_WAIT_MS);
    }

    listen(username) {
      this.user = username;
      const { client } = this.channel;
      client.off("login");
      client.on("msg_sync", (data) => this.tell("onMsgReceive", data));
      client.on("event_notification", (data) => {
        this.tell("onEventNotification", data);
        if (data.event_type === 1 || data.event_type === 2) this.loginOut();
      });
      client.on("disconnect", () => this.lose());
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
      if (!this.isLogin()) return;
      this.isLeaving = true;
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
      if (!this.isLeaving) {
        this.forget();
        this.tell("onDisconnect");
      }
      if (this.version === "2.6.0") this.connect();
    }

    forget() {
      this.appkey = null;
      this.user = null;
    }
  };
})();
