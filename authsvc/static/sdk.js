// A stand-in for the vendor's SDK file, for the demo and for tests without it: every call and listener of the guide, and
// the same events, retransmissions and reconnects on the socket. One file, as the vendor's is. It is thin: what a call is
// given goes out as it is, unread counts last as long as the page, and receipts are sent at once instead of gathered.
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
  const SYNC_MS = 150000;
  const FIRST_PAUSE_MS = 1000;
  const LONGEST_PAUSE_MS = 5000;
  const TOO_LARGE = 898061; // to who uploads; the page gets another code
  const SINGLE = 3;
  const GROUP = 4;

  // Calls whose event has what the page gave, and these members.
  const CALLS = {
    updateSelfInfo: ["update_user_inf"],
    msgUnreadList: ["msg_unread_list"],
    msgRetract: ["msg_retract"],
    getResource: ["get_resource"],
    transSingleMsg: ["trans_msg_single"],
    transGroupMsg: ["trans_msg_group"],
    transPlatMsg: ["trans_msg_platform"],
    getGroupMembers: ["get_group_members"],
    addGroupMembers: ["add_across_group_member"],
    delGroupMembers: ["del_across_group_member"],
    exitGroup: ["exit_group"],
    dissolveGroup: ["dissolve_group"],
    joinGroup: ["apply_join_group"],
    addGroupMemberResp: ["admin_add_group_member"],
    addGroupMemSilence: ["group_mem_silence", { keep_silence: true }],
    delGroupMemSilence: ["group_mem_silence", { keep_silence: false }],
    addGroupKeeper: ["add_group_keeper"],
    delGroupKeeper: ["del_group_keeper"],
    changeGroupAdmin: ["change_group_admin"],
    getGroups: ["get_groups_list"],
    getGroupInfo: ["get_group_info"],
    getAppkeyPublicGroups: ["public_group_list"],
    getAppkeyChatrooms: ["room_list"],
    getSelfChatrooms: ["room_list_self"],
    getChatroomInfo: ["room_info"],
    enterChatroom: ["join_room"],
    exitChatroom: ["exit_room"],
    getNoDisturb: ["no_disturb", { version: 0 }],
    addSingleNoDisturb: ["add_msg_no_disturb_single", { version: 0 }],
    delSingleNoDisturb: ["delete_msg_no_disturb_single", { version: 0 }],
    addGroupNoDisturb: ["add_msg_no_disturb_group", { version: 0 }],
    delGroupNoDisturb: ["delete_msg_no_disturb_group", { version: 0 }],
    addGlobalNoDisturb: ["add_msg_no_disturb_global", { version: 0 }],
    delGlobalNoDisturb: ["delete_msg_no_disturb_global", { version: 0 }],
    groupShieldList: ["list_shield_group"],
    addGroupShield: ["add_msg_shield_group"],
    delGroupShield: ["del_msg_shield_group"],
    getBlacks: ["get_black_list", { version: 0 }],
    addSingleBlacks: ["add_black_list"],
    delSingleBlacks: ["del_black_list"],
    getFriendList: ["get_friend_list"],
    addFriend: ["add_friend", { from_type: 1 }],
    acceptFriend: ["add_friend", { from_type: 2, why: "yes" }],
    delFriend: ["del_friend"],
    updateFriendMemo: ["update_friend_memo"],
  };

  const LISTENERS = [
    "onDisconnect", "onMsgReceive", "onSyncConversation", "onUserInfUpdate", "onEventNotification", "onSyncEvent",
    "onMsgReceiptChange", "onSyncMsgReceipt", "onMutiUnreadMsgUpdate", "onTransMsgRec", "onRoomMsg",
  ];

  // The calls that send: send + one of each.
  const TARGETS = { Single: "target_username", Group: "target_gid", Chatroom: "target_rid" };
  const SENT_BY = { Single: "s_across_single_text", Group: "send_group_msg", Chatroom: "send_room_msg" };
  const BODIES = {
    Msg: ["text", (sdk, given) => ({ text: given.content })],
    Pic: ["image", (sdk, given) => sdk.sent("image", given.image, "width", "height", "format", "fsize")],
    File: ["file", (sdk, given) => sdk.sent("file", given.file, "hash", "fsize", "fname")],
    Location: ["location", (sdk, given) => pick(given, "latitude", "longitude", "scale", "label")],
    Custom: ["custom", (sdk, given) => given.custom],
  };

  function pick(from, ...names) {
    return Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]));
  }

  const joined = (...lists) => [].concat(...lists.map((list) => list || []));
  const conversationOf = (told) => (told.gid !== undefined ? String(told.gid) : `${told.appkey}/${told.username}`);

  // The vendor's passwords go out as MD5, in hex (RFC 1321).
  function md5(text) {
    const bytes = Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));
    const words = new Int32Array(16 * (((bytes.length + 8) >> 6) + 1));
    bytes.concat(0x80).forEach((byte, place) => { words[place >> 2] |= byte << (8 * (place % 4)); });
    words[words.length - 2] = 8 * bytes.length;
    const turns = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]);
    for (let block = 0; block < words.length; block += 16) {
      let [a, b, c, d] = state;
      for (let step = 0; step < 64; step++) {
        const round = step >> 4;
        const mixed = [(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)][round];
        const word = words[block + [step, 5 * step + 1, 3 * step + 5, 7 * step][round] % 16];
        const sum = (a + mixed + word + Math.floor(2 ** 32 * Math.abs(Math.sin(step + 1)))) | 0;
        const by = turns[round][step % 4];
        [a, b, c, d] = [d, b + ((sum << by) | (sum >>> (32 - by))), b, c];
      }
      [a, b, c, d].forEach((value, place) => { state[place] += value; });
    }
    return Array.from(new Uint8Array(state.buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

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
    constructor(event, done, finish) {
      Object.assign(this, { event, done, finish });
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

    tell(name, ...data) {
      if (this.handlers[name]) this.handlers[name](...data);
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

    end(name, ...data) {
      clearTimeout(this.timer);
      this.isOver = true;
      this.tell(name, ...data);
    }
  }

  window.JMessage = class JMessage {
    constructor(options) {
      this.options = options;
      this.version = options.version || "2.5.0";
      this.handlers = {};
      this.conversations = {}; // by conversationOf: {unread_msg_count, extras}
      this.changed_ms = {}; // of profiles, by uid
      this.channel = {};
      this.forget();
      if (this.version !== "mini-program") this.connect();
      for (const name of LISTENERS) this[name] = (handler) => { this.handlers[name] = handler; };
    }

    connect() {
      this.requests = new Map(); // those under way, by rid
      this.channel.client = new Socket(this.options.address);
      this.channel.client.on("*", (name, data) => this.hear(name, data));
    }

    isConnect() { return Boolean(this.channel.client && this.channel.client.connected); }
    isInit() { return this.current_appkey !== null; }
    isLogin() { return this.current_user !== null; }

    tell(name, ...data) {
      if (this.handlers[name]) this.handlers[name](...data);
    }

    // ---- in and out

    init(payload) {
      this.isLeaving = false;
      if (this.version === "mini-program") this.connect();
      const done = () => { this.current_appkey = payload.appkey; };
      this.flag = payload.flag || 0;
      return this.ask("c_init", Object.assign({}, payload, { fromPlatForm: "j" }), { done });
    }

    login(account) {
      const data = Object.assign(this.accountOf(account), { version: "2.5.0" });
      return this.ask("login", data, { done: () => this.listen(data.username), waitMs: LOGIN_WAIT_MS });
    }

    register(account) {
      return this.ask("register", this.accountOf(account));
    }

    // The page has to init first, and a password goes out as its MD5.
    accountOf(account) {
      if (!this.isInit()) throw new Error("must init first");
      const password = account.is_md5 ? account.password : md5(account.password);
      return Object.assign({}, account, { password, is_md5: true, appkey: this.current_appkey });
    }

    listen(username) {
      this.current_user = username;
      const { client } = this.channel;
      client.off("login");
      for (const [event, hear] of Object.entries(PUSHES)) client.on(event, (data) => hear(this, data));
      client.on("disconnect", () => this.lose());
      const first = { sync_key: 0, sync_type: this.flag, sync_event_key: 0, msg_receipt_key: 0 };
      const sync = () => this.ask("sync_check", first);
      clearInterval(this.syncing);
      this.syncing = setInterval(sync, SYNC_MS);
      sync();
    }

    // Rebuilds the channel: the page has to init again, with a fresh payload.
    loginOut() {
      if (!this.isLogin()) return;
      this.isLeaving = true;
      this.channel.client.close();
      this.forget();
      this.connect();
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
      clearInterval(this.syncing);
      this.current_appkey = null;
      this.current_user = null;
    }

    // ---- calls that do more than CALLS says

    getUserInfo(given) {
      return this.call("get_across_user_info", { username: given.username, appkey: given.appkey || this.current_appkey });
    }

    updateSelfAvatar(given) {
      return this.call("update_user_inf", () => this.uploaded("avatar", given.avatar));
    }

    updateSelfPwd(given) {
      const hidden = (password) => (given.is_md5 ? password : md5(password));
      return this.call("update_user_pwd", { old_pwd: hidden(given.old_pwd), new_pwd: hidden(given.new_pwd) });
    }

    createGroup(given) {
      return this.call("create_group", () => this.withAvatar(given));
    }

    updateGroupInfo(given) {
      return this.call("update_group_info", () => this.withAvatar(given));
    }

    async withAvatar({ avatar, ...given }) {
      return avatar ? Object.assign(given, await this.uploaded("media_id", avatar)) : given;
    }

    getConversation() {
      return this.call("get_conversations", {});
    }

    updateConversation({ extras, ...named }) {
      this.conversation(named).extras = extras;
    }

    getUnreadMsgCnt(named) {
      return this.conversation(named).unread_msg_count;
    }

    // What comes in this conversation from now on is not counted, until another one is reset: the page shows it.
    resetUnreadCount(named) {
      this.current = this.conversation(named);
      this.current.unread_msg_count = 0;
      if (named.gid !== undefined) this.ask("unread_group_count", { gid: named.gid, type: GROUP });
      else this.ask("unread_single_count", Object.assign({ appkey: this.current_appkey }, named, { type: SINGLE }));
    }

    // What the page itself knows of a conversation.
    conversation(named) {
      const key = conversationOf(Object.assign({ appkey: this.current_appkey }, named));
      this.conversations[key] = this.conversations[key] || { unread_msg_count: 0, extras: {} };
      return this.conversations[key];
    }

    declineFriend(given) {
      const why = given.why && given.why.trim() ? given.why : "no";
      return this.call("add_friend", Object.assign({}, given, { from_type: 2, why }));
    }

    addSingleReceiptReport({ username, appkey, msg_ids }) {
      return this.report({ username, appkey: appkey || this.current_appkey, msg_ids, type: SINGLE });
    }

    addGroupReceiptReport({ gid, msg_ids }) {
      return this.report({ gid, msg_ids, type: GROUP });
    }

    report(session) {
      return this.call("receipt_report", { sessions: [session] }, { finish: (told) => [told, session.msg_ids] });
    }

    // ---- messages

    sendMessage(kind, what, given) {
      const [msg_type, bodyOf] = BODIES[what];
      const target = given[TARGETS[kind]];
      const name = given.target_nickname || given.target_gname || given.target_rname;
      const prepare = async () => {
        const body = given.msg_body || (await bodyOf(this, given));
        const content = {
          version: 1,
          target_type: kind.toLowerCase(),
          from_platform: "web",
          target_id: String(target),
          target_name: name,
          from_id: this.current_user,
          create_time: Date.now(),
          msg_type,
          msg_body: given.extras ? Object.assign({}, body, { extras: given.extras }) : body,
        };
        return (message = Object.assign({ content, no_offline: false, no_notification: false }, {
          ...pick(given, "no_offline", "no_notification", "custom_notification", "need_receipt"),
          ...(name ? { target_name: name } : {}),
          ...(given.at_list ? { users: given.at_list } : {}),
          [kind === "Single" ? "target_id" : "target_gid"]: String(target),
          appkey: given.appkey || this.current_appkey,
        }));
      };
      let message;
      const finish = (told) => {
        const where = kind === "Single" ? { target_username: target, appkey: message.appkey } : {};
        return [Object.assign(told, where), Object.assign({}, message, pick(told, "msg_id", "ctime_ms"))];
      };
      return this.call(SENT_BY[kind], prepare, { finish });
    }

    async uploaded(member, form) {
      return { [member]: (await this.upload("image", form)).media_id };
    }

    // The body of a message with a file.
    async sent(kind, form, ...members) {
      return pick(await this.upload(kind, form), "media_id", "media_crc32", ...members);
    }

    async upload(kind, form) {
      const { uptoken } = await new Promise((resolve, reject) => {
        this.call("get_upload_token", {}).onSuccess(resolve).onFail(reject).onTimeout(reject);
      });
      return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.open("POST", `${this.options.upload_file}?type=${kind}`);
        request.setRequestHeader("X-App-Key", this.current_appkey);
        request.setRequestHeader("jm-channel", "w");
        request.setRequestHeader("Authorization", `Basic ${btoa(`${this.current_user}:${uptoken}`)}`);
        request.onload = () => {
          const told = JSON.parse(request.responseText);
          if (request.status === 200) resolve(told);
          else reject(told.error.code === TOO_LARGE ? { code: 880210, message: "file size exceed limit" } : told);
        };
        request.onerror = () => reject({ code: -1, message: "the upload failed" });
        request.send(form);
      });
    }

    // ---- requests

    // A call of somebody who is logged in. `data` may be a function that returns a promise of it.
    call(event, data, options) {
      if (!this.isLogin()) throw new Error("must login first");
      return this.ask(event, typeof data === "function" ? data() : data, options);
    }

    // `data` may be a promise. `done` is run when it has succeeded; `finish` makes of the answer what the page is told.
    ask(event, data, { done = () => {}, finish = (told) => [told], waitMs = 0 } = {}) {
      const rid = Math.floor(Math.random() * 0x7fffffff);
      const request = new Request(event, done, finish);
      this.requests.set(rid, request);
      const wait = new Promise((resolve) => setTimeout(resolve, waitMs));
      Promise.all([data, wait]).then(([given]) => {
        request.send = () => this.channel.client.emit(event, Object.assign({}, given, { rid }));
        if (!request.isOver) request.transmit();
      }, (told) => request.end("onFail", told));
      return request;
    }

    hear(name, data) {
      const request = this.requests.get(data.rid);
      if (!request || request.isOver) return;
      if (name === "ack") return request.acknowledge();
      const { rid, ...answer } = data;
      this.requests.delete(rid);
      if (answer.code) return request.end("onFail", answer);
      this.note(answer);
      request.done();
      request.end("onSuccess", ...request.finish(answer));
    }

    // Makes of an answer what the page is to find there, and remembers when profiles changed.
    note(answer) {
      for (const one of answer.conversations || []) {
        if (one.type === GROUP) one.gid = one.key;
        const { unread_msg_count, extras } = this.conversation(one.type === GROUP ? { gid: one.gid } : one);
        Object.assign(one, { unread_msg_count, extras });
        if (one.type === SINGLE) this.changed_ms[one.key] = one.utime;
        delete one.utime;
      }
      const { group_list, group_info, groups, result = {}, no_disturb = {} } = answer;
      for (const group of joined(group_list, group_info, groups, result.groups, no_disturb.groups)) {
        group.group_type = group.flag;
        delete group.flag;
      }
      const { member_list, friend_list, black_list, user_info } = answer;
      for (const { uid, mtime } of joined(friend_list)) this.changed_ms[uid] = 1000 * mtime;
      for (const member of joined(member_list)) {
        this.changed_ms[member.uid] = member.mtime;
        delete member.mtime;
      }
      for (const user of joined(member_list, friend_list, black_list, user_info)) delete user.uid;
    }
  };

  for (const [name, [event, fixed]] of Object.entries(CALLS)) {
    window.JMessage.prototype[name] = function (given) {
      return this.call(event, Object.assign({}, given, fixed));
    };
  }
  for (const kind of Object.keys(TARGETS)) {
    for (const what of Object.keys(BODIES)) {
      window.JMessage.prototype[`send${kind}${what}`] = function (given) {
        return this.sendMessage(kind, what, given);
      };
    }
  }

  // What the gateway sends by itself, from the login on.
  const PUSHES = {
    msg_sync(sdk, data) {
      for (const message of data.messages) {
        const { content } = message;
        const isGroup = message.msg_type === GROUP;
        message.key = isGroup ? message.from_gid : message.from_uid;
        if (!isGroup) Object.assign(message, { from_username: content.from_id, from_appkey: content.from_appkey });
        const named = isGroup ? { gid: message.from_gid } : { appkey: content.from_appkey, username: content.from_id };
        const conversation = sdk.conversation(named);
        if (content.from_id !== sdk.current_user && conversation !== sdk.current) conversation.unread_msg_count += 1;
        message.msg_level = ["normal", "across"][message.msg_level];
        sdk.ask("msg_recv_v2", pick(message, "msg_id", "msg_type", "from_uid", "from_gid"));
        if (1000 * content.sui_mtime > sdk.changed_ms[message.from_uid]) {
          sdk.changed_ms[message.from_uid] = 1000 * content.sui_mtime;
          const mtime = content.sui_mtime;
          sdk.tell("onUserInfUpdate", { from_username: content.from_id, from_appkey: content.from_appkey, mtime });
        }
      }
      sdk.tell("onMsgReceive", data);
    },
    event_notification(sdk, data) {
      if (data.event_type === 1) sdk.ask("event_notification", pick(data, "event_id", "event_type", "from_uid", "gid"));
      notify(sdk, data, (event) => sdk.tell("onEventNotification", event));
      if (data.event_type === 1 || data.event_type === 2) sdk.loginOut();
    },
    sync_conversation(sdk, data) {
      sdk.ask("sync_conversation_ack", { sync_key: data.sync_key });
      for (const one of data.messages || []) {
        const named = one.msg_type === GROUP ? { gid: one.from_gid } : { appkey: one.from_appkey, username: one.from_username };
        const conversation = sdk.conversation(named);
        conversation.unread_msg_count = one.unread_msg_count = conversation === sdk.current ? 0 : one.unsync_count;
        delete one.unsync_count;
      }
      if ((data.messages || []).length) sdk.tell("onSyncConversation", data.messages);
    },
    sync_event(sdk, data) {
      sdk.ask("sync_event_ack", { sync_key: data.sync_key });
      const events = [];
      for (const event of data.events) notify(sdk, event, (told) => events.push(told));
      if (events.length) sdk.tell("onSyncEvent", events);
    },
    sync_receipt(sdk, data) {
      sdk.ask("sync_receipt_ack", { sync_key: data.sync_key });
      const found = new Map(); // one for each conversation
      for (const receipt of data.receipts) {
        const known = found.get(conversationOf(receipt));
        if (known) known.receipt_msgs.push(...receipt.receipt_msgs);
        else found.set(conversationOf(receipt), receipt);
      }
      sdk.tell("onSyncMsgReceipt", [...found.values()]);
    },
    receipt_change: (sdk, data) => sdk.tell("onMsgReceiptChange", data),
    trans_msg_rec: (sdk, data) => sdk.tell("onTransMsgRec", data),
    room_msg_sync: (sdk, data) => sdk.tell("onRoomMsg", data),
    room_msg_sync_his(sdk, data) {
      for (const room of data.messages) for (const message of room.msgs) sdk.tell("onRoomMsg", message);
    },
  };

  const READ_ELSEWHERE = 200;
  const RETRACTED = 55;
  const ASKS_TO_JOIN = 56;
  const FRIENDS_ELSEWHERE = 100;

  function notify(sdk, event, tell) {
    if (event.event_type === READ_ELSEWHERE) {
      sdk.conversation(event.description).unread_msg_count = 0;
      return sdk.tell("onMutiUnreadMsgUpdate", event.description);
    }
    const told = Object.assign({}, event);
    if (event.event_type === RETRACTED) told.type = event.from_gid ? 1 : 0;
    if (event.event_type === ASKS_TO_JOIN) {
      told.by_self = event.extra === 59;
      delete told.extra;
    }
    if (event.event_type === FRIENDS_ELSEWHERE && event.extra === 7) told.description = JSON.parse(event.description);
    tell(told);
  }
})();
