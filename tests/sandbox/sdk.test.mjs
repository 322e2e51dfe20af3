// Every call and every listener of the guide by the SDK whose file SDK names: our stand-in, or the vendor's, unmodified.
// Pages are two users and a second device of the first. Started by test_sdk.py, which also knows which calls a version of
// the vendor's lacks.
// Prints the names of what has worked, as one line of JSON.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import vm from "node:vm";

import { Guide } from "./guide.mjs";

const WebSocket = createRequire(process.env.MODULES + "/")("ws");
const { SANDBOX, SERVICE, TOKEN, SDK, MASTER_SECRET } = process.env;
const source = readFileSync(SDK, "utf8");
const guide = new Guide({ since: source.includes("transPlatMsg") ? "2.6.0" : "2.5.0" });
const worked = new Set();
const opened = [];
const PASSWORD = "a word";
const WAIT_MS = 60000;

// What of XMLHttpRequest the SDK's upload uses.
class Request {
  open(method, url) {
    Object.assign(this, { method, url, headers: {} });
  }
  setRequestHeader(name, value) {
    this.headers[name] = value;
  }
  async send(body) {
    const answer = await fetch(this.url, { method: this.method, headers: this.headers, body });
    this.responseText = this.response = await answer.text();
    Object.assign(this, { readyState: 4, status: answer.status });
    this.onreadystatechange?.();
    this.onload?.();
  }
}

function load() {
  const kept = new Map();
  const localStorage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, String(value)),
    removeItem: (key) => kept.delete(key),
    key: (place) => [...kept.keys()][place],
    get length() {
      return kept.size;
    },
  };
  const quiet = { log() {}, warn() {}, error() {}, info() {}, debug() {} };
  const page = { WebSocket, XMLHttpRequest: Request, FormData, localStorage, console: quiet, setTimeout, setInterval };
  Object.assign(page, { clearTimeout, clearInterval, btoa, atob, Blob, navigator: { userAgent: "node" }, document: {} });
  page.location = { protocol: "http:", hostname: "127.0.0.1", port: "" };
  page.window = page.self = page.global = page;
  vm.createContext(page);
  vm.runInContext(source, page);
  return { JMessage: page.JMessage, own: (value) => vm.runInContext(`(${JSON.stringify(value)})`, page) };
}

async function payload() {
  const answer = await fetch(`${SERVICE}/v1/auth-payload`, { method: "POST", headers: { Authorization: `Bearer ${TOKEN}` } });
  assert.equal(answer.status, 200);
  return answer.json();
}

async function control(asked) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${SANDBOX}/sandbox`, { method: "POST", headers, body: JSON.stringify(asked) });
  assert.equal(answer.status, 200, await answer.clone().text());
}

async function rest(appkey, method, path, body) {
  const headers = { Authorization: `Basic ${btoa(`${appkey}:${MASTER_SECRET}`)}`, "Content-Type": "application/json" };
  const answer = await fetch(`${SANDBOX}/v1${path}`, { method, headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, await answer.text());
}

async function offline(username) {
  const begun = performance.now();
  while (performance.now() - begun < WAIT_MS) {
    if (!(await (await fetch(`${SANDBOX}/sandbox`)).json()).online.includes(username)) return;
    await sleep(20);
  }
  throw new Error(`${username} is still online`);
}

// A page: `call` returns what the call's onSuccess gets, and keeps in mind that it has worked; `heard` waits for what a
// listener gets.
class Page {
  constructor() {
    const { JMessage, own } = load();
    this.own = own; // what is made in the page: the SDK wants its own kind of list
    this.sdk = new JMessage({ address: SANDBOX.replace("http", "ws"), upload_file: `${SANDBOX}/resource` });
    this.events = {};
    opened.push(this);
  }

  call(name, ...args) {
    return new Promise((resolve, reject) => {
      const asked = this.sdk[name](...args);
      const failed = (told) => reject(new Error(`${name}: ${JSON.stringify(told)}`));
      const timer = setTimeout(() => failed("no answer"), WAIT_MS);
      asked.onFail((told) => (clearTimeout(timer), failed(told)));
      asked.onSuccess((told, sent) => {
        clearTimeout(timer);
        worked.add(name);
        guide.compare(name, told);
        resolve([told, sent]);
      });
    });
  }

  async ask(name, ...args) {
    return (await this.call(name, ...args))[0];
  }

  listen() {
    for (const name of LISTENERS) {
      this.events[name] = [];
      this.sdk[name]((told) => {
        guide.compare(name, told);
        this.events[name].push(told);
      });
    }
  }

  async heard(name, is = () => true) {
    for (let waited = 0; waited < WAIT_MS; waited += 20) {
      const place = this.events[name].findIndex(is);
      if (place >= 0) {
        worked.add(name);
        return this.events[name].splice(place, 1)[0];
      }
      await sleep(20);
    }
    throw new Error(`${name} was not called as expected: ${JSON.stringify(this.events[name])}`);
  }

  notified = (type) => this.heard("onEventNotification", (event) => event.event_type === type);

  async connect(flag = 0) {
    while (!this.sdk.isConnect()) await sleep(10);
    worked.add("isConnect");
    await this.ask("init", { ...(await payload()), flag });
    assert.equal(this.sdk.isInit(), true);
    worked.add("isInit");
  }

  async login(username) {
    const told = await this.ask("login", { username, password: PASSWORD });
    assert.equal(told.username, username);
    assert.equal(this.sdk.isLogin(), true);
    worked.add("isLogin");
    this.username = username;
  }
}

const LISTENERS = [
  "onDisconnect", "onMsgReceive", "onSyncConversation", "onUserInfUpdate", "onEventNotification", "onSyncEvent",
  "onMsgReceiptChange", "onSyncMsgReceipt", "onMutiUnreadMsgUpdate", "onTransMsgRec", "onRoomMsg",
];

async function page(username, flag = 0) {
  const opening = new Page();
  opening.listen();
  await opening.connect(flag);
  if (username) await opening.login(username);
  return opening;
}

function form(name, content = Buffer.from(process.env.PICTURE, "base64")) {
  const data = new FormData();
  data.append("file", new Blob([content]), name);
  return data;
}

// What comes out of a page has other prototypes than what is here.
const same = (told, expected) => assert.equal(JSON.stringify(told), JSON.stringify(expected));
const has = (sdk, name) => typeof sdk[name] === "function";
const user = (...names) => ({ member_usernames: names.map((username) => ({ username })) });

async function main() {
  await control({ reset: true, devices: "any" });
  const nobody = await page();
  await nobody.ask("register", { username: "ming", password: PASSWORD, nickname: "小明" });
  await nobody.ask("register", { username: "omar", password: PASSWORD });
  await nobody.ask("register", { username: "anna", password: PASSWORD });
  const [ming, phone, omar, anna] = [await page("ming"), await page("ming"), await page("omar"), await page("anna")];
  const omarsPhone = await page("omar"); // which counts, too, what is unread
  const appkey = ming.sdk.current_appkey;

  // users
  assert.equal((await omar.ask("getUserInfo", { username: "ming" })).user_info.nickname, "小明");
  await ming.ask("updateSelfInfo", { nickname: "明", extras: { k: "v" } });
  await ming.ask("updateSelfAvatar", { avatar: form("a.png") });
  await omar.ask("updateSelfAvatar", { avatar: form("b.png") });
  const avatarOf = async (username) => (await ming.ask("getUserInfo", { username })).user_info.avatar;
  const { avatar } = (await omar.ask("getUserInfo", { username: "ming" })).user_info;
  assert.match((await omar.ask("getResource", { media_id: avatar })).url, /^http:/);

  // messages of every kind, to a user and to a group
  const given = { group_name: "weekend", group_description: "talk", avatar: form("g.png") };
  const { gid } = await ming.ask("createGroup", given);
  await ming.ask("addGroupMembers", { gid, ...user("omar", "anna") });
  await omar.notified(10);
  const to = { single: { target_username: "omar" }, group: { target_gid: gid, target_gname: "weekend" } };
  const bodies = {
    Msg: { content: "你好 😀", need_receipt: true },
    Pic: { image: form("a.png") },
    File: { file: form("a.txt") },
    Location: { latitude: 22.5, longitude: 114, scale: 10, label: "深圳" },
    Custom: { custom: { any: "thing" } },
  };
  const sent = {};
  for (const [kind, target] of Object.entries(to)) {
    for (const [what, body] of Object.entries(bodies)) {
      const name = `send${kind === "single" ? "Single" : "Group"}${what}`;
      const [told, message] = await ming.call(name, { ...target, ...body });
      assert.equal(message.msg_id, told.msg_id, name);
      if (kind === "single") assert.equal(told.target_username, "omar");
      const got = await omar.heard("onMsgReceive", ({ messages }) => messages[0].msg_id === told.msg_id);
      same(got.messages[0].content.msg_body, message.content.msg_body);
      await phone.heard("onMsgReceive", ({ messages }) => messages[0].msg_id === told.msg_id);
      sent[name] = told;
    }
  }
  assert.equal(omar.sdk.getUnreadMsgCnt({ username: "ming" }), 5);
  worked.add("getUnreadMsgCnt");

  // conversations, receipts, retraction
  omar.sdk.updateConversation({ username: "ming", extras: { pinned: true } });
  worked.add("updateConversation");
  const { conversations } = await omar.ask("getConversation");
  assert.equal(conversations.find((one) => one.username === "ming").extras.pinned, true);
  omar.sdk.resetUnreadCount({ username: "ming" });
  assert.equal((await omarsPhone.heard("onMutiUnreadMsgUpdate")).username, "ming");
  await ming.ask("sendSingleMsg", { target_username: "omar", content: "seen at once" });
  await omar.heard("onMsgReceive", ({ messages }) => messages[0].content.msg_body.text === "seen at once");
  assert.equal(omar.sdk.getUnreadMsgCnt({ username: "ming" }), 0);
  worked.add("resetUnreadCount");
  const ids = [sent.sendSingleMsg.msg_id];
  await omar.ask("addSingleReceiptReport", { username: "ming", appkey, msg_ids: omar.own(ids) });
  same((await ming.heard("onMsgReceiptChange")).receipt_msgs, [{ msg_id: ids[0], unread_count: 0 }]);
  await omar.ask("addGroupReceiptReport", { gid, msg_ids: omar.own([sent.sendGroupMsg.msg_id]) });
  assert.equal((await ming.heard("onMsgReceiptChange")).receipt_msgs[0].unread_count, 1);
  const { msg_unread_list: lists } = await ming.ask("msgUnreadList", { msg_id: sent.sendGroupMsg.msg_id });
  same([lists.unread_list[0].username, lists.read_list[0].username], ["anna", "omar"]);
  await ming.ask("msgRetract", { msg_id: sent.sendSinglePic.msg_id });
  const retracted = await omar.notified(55);
  same([retracted.msgid_list, retracted.type], [[sent.sendSinglePic.msg_id], 0]);
  await ming.ask("msgRetract", { msg_id: sent.sendGroupPic.msg_id });
  assert.equal((await omar.notified(55)).type, 1);

  const large = form("a.bin", Buffer.alloc(8 * 1024 * 1024 + 1));
  await assert.rejects(ming.ask("sendSingleFile", { ...to.single, file: large }), /880210/);

  // transparent messages
  await ming.ask("transSingleMsg", { target_username: "omar", cmd: "typing" });
  assert.equal((await omar.heard("onTransMsgRec")).cmd, "typing");
  await ming.ask("transGroupMsg", { gid, cmd: "typing" });
  assert.equal((await omar.heard("onTransMsgRec")).gid, gid);
  if (has(ming.sdk, "transPlatMsg")) {
    await ming.ask("transPlatMsg", { platform: "all", cmd: "wake up" });
    await phone.heard("onTransMsgRec", (told) => told.type === 5);
  }

  // groups
  assert.equal((await omar.ask("getGroups")).group_list[0].group_type, 1);
  assert.equal((await omar.ask("getGroupInfo", { gid })).group_info.name, "weekend");
  await ming.ask("updateGroupInfo", { gid, group_name: "holidays" });
  await omar.notified(12);
  const { member_list } = await omar.ask("getGroupMembers", { gid });
  same(member_list.map((one) => [one.username, one.flag]), [["ming", 1], ["omar", 0], ["anna", 0]]);
  await ming.ask("addGroupMemSilence", { gid, target_username: "omar" });
  assert.equal((await omar.notified(65)).extra, 1);
  await assert.rejects(omar.ask("sendGroupMsg", { target_gid: gid, content: "hello" }), /880212/);
  await ming.ask("delGroupMemSilence", { gid, target_username: "omar" });
  assert.equal((await omar.notified(65)).extra, 2);
  if (has(ming.sdk, "addGroupKeeper")) {
    await ming.ask("addGroupKeeper", { gid, ...user("omar") });
    assert.equal((await omar.notified(80)).extra, 1);
    await ming.ask("delGroupKeeper", { gid, ...user("omar") });
    await ming.ask("changeGroupAdmin", { gid, target_username: "omar" });
    await omar.notified(82);
    await omar.ask("changeGroupAdmin", { gid, target_username: "ming" });
  }
  await ming.ask("delGroupMembers", { gid, ...user("anna") });
  await anna.notified(11);
  const open = (await ming.ask("createGroup", { group_name: "open", is_limit: true, avatar: form("g.png") })).gid;
  await anna.ask("joinGroup", { gid: open, reason: "I am Anna" });
  const request = await ming.notified(56);
  assert.equal(request.by_self, true);
  const decision = { gid: open, event_id: request.event_id, from_username: "anna", target_username: "anna", result: 0 };
  await ming.ask("addGroupMemberResp", { ...decision, result: 1, reason: "who?" });
  await anna.notified(57);
  await ming.notified(58);
  await anna.ask("joinGroup", { gid: open, reason: "Anna from school" });
  await ming.ask("addGroupMemberResp", { ...decision, event_id: (await ming.notified(56)).event_id });
  await anna.notified(10);
  await anna.ask("exitGroup", { gid: open });
  await ming.notified(9);
  if (has(ming.sdk, "getAppkeyPublicGroups")) {
    assert.equal((await ming.ask("getAppkeyPublicGroups", { start: 0 })).result.groups[0].group_type, 2);
    await ming.ask("dissolveGroup", { gid: open });
  }

  // friends
  await ming.ask("addFriend", { target_name: "omar", why: "it is me" });
  assert.equal((await omar.notified(5)).description, "it is me");
  await omar.ask("declineFriend", { target_name: "ming", why: "who?" });
  assert.notEqual((await ming.notified(5)).return_code, 0);
  await ming.ask("addFriend", { target_name: "omar", why: "me" });
  await omar.ask("declineFriend", { target_name: "ming" });
  assert.equal((await ming.notified(5)).description, "no");
  await ming.ask("addFriend", { target_name: "omar", why: "Ming!" });
  await omar.ask("acceptFriend", { target_name: "ming" });
  assert.equal((await ming.notified(5)).return_code, 0);
  await ming.ask("updateFriendMemo", { target_name: "omar", memo_name: "O", memo_others: "" });
  const noted = await phone.notified(100);
  same([noted.description.memo_name, noted.media_id], ["O", await avatarOf("omar")]);
  assert.equal((await ming.ask("getFriendList")).friend_list[0].memo_name, "O");
  await phone.ask("getGroupMembers", { gid });
  await control({ clock: { advance_ms: 5000 } });
  await omar.ask("updateSelfInfo", { nickname: "Omar" });
  await omar.ask("sendSingleMsg", { target_username: "ming", content: "I am new" });
  for (const page of [ming, phone]) assert.equal((await page.heard("onUserInfUpdate")).from_username, "omar");
  await ming.ask("delFriend", { target_name: "omar" });
  await omar.notified(6);

  // lists
  await ming.ask("addSingleBlacks", user("omar"));
  assert.equal((await ming.ask("getBlacks")).black_list[0].username, "omar");
  await assert.rejects(omar.ask("sendSingleMsg", { target_username: "ming", content: "hello" }), /880207/);
  await ming.ask("delSingleBlacks", user("omar"));
  await ming.ask("addSingleNoDisturb", { target_name: "omar" });
  await ming.ask("addGroupNoDisturb", { gid });
  await ming.ask("addGlobalNoDisturb");
  assert.equal((await phone.notified(102)).extra, 31);
  const { no_disturb } = await ming.ask("getNoDisturb");
  same([no_disturb.global, no_disturb.users[0].username, no_disturb.groups[0].gid], [1, "omar", gid]);
  await ming.ask("delSingleNoDisturb", { target_name: "omar" });
  await ming.ask("delGroupNoDisturb", { gid });
  await ming.ask("delGlobalNoDisturb");
  await ming.ask("addGroupShield", { gid });
  assert.equal((await ming.ask("groupShieldList")).groups[0].gid, gid);
  await ming.ask("delGroupShield", { gid });

  // the same by a back end
  await rest(appkey, "POST", "/users/ming/friends", ["anna"]);
  await anna.notified(7);
  await rest(appkey, "PUT", "/users/ming/blacklist", ["anna"]);
  await rest(appkey, "POST", "/users/ming/nodisturb", { global: 1 });
  await rest(appkey, "POST", "/users/ming/groupsShield", { add: [gid] });
  await rest(appkey, "PUT", "/users/ming", { signature: "by the back end" });
  for (const type of [38, 37, 39, 40]) await ming.notified(type);

  // chatrooms
  await control({ seed: { rooms: [{ name: "lobby" }] } });
  const { rooms } = (await ming.ask("getAppkeyChatrooms", { start: 0 })).result;
  const id = rooms[0].id;
  assert.equal((await omar.ask("getChatroomInfo", { id })).info.name, "lobby");
  for (const one of [ming, omar]) await one.ask("enterChatroom", { id });
  assert.equal((await ming.ask("getSelfChatrooms")).chat_rooms[0].id, id);
  for (const [what, body] of Object.entries(bodies)) {
    const told = await ming.ask(`sendChatroom${what}`, { target_rid: id, ...body });
    assert.equal((await omar.heard("onRoomMsg")).msg_id, told.msg_id);
  }
  await anna.ask("enterChatroom", { id });
  await anna.heard("onRoomMsg");
  await omar.ask("exitChatroom", { id });

  // what was missed: messages, events, receipts; then roaming
  omar.sdk.loginOut();
  worked.add("loginOut");
  omarsPhone.sdk.loginOut();
  await offline("omar");
  const missed = await ming.ask("sendSingleMsg", { target_username: "omar", content: "missed", need_receipt: true });
  const second = await ming.ask("sendSingleMsg", { target_username: "omar", content: "too", need_receipt: true });
  await ming.ask("addFriend", { target_name: "omar", why: "again" });
  const back = await page("omar");
  const conversation = (await back.heard("onSyncConversation"))[0];
  same(conversation.msgs.map((one) => one.msg_id), [missed.msg_id, second.msg_id]);
  assert.equal(conversation.unread_msg_count, 2);
  same((await back.heard("onSyncEvent")).map((event) => event.event_type), [5]);
  ming.sdk.loginOut();
  phone.sdk.loginOut();
  await offline("ming");
  for (const { msg_id } of [missed, second]) {
    await back.ask("addSingleReceiptReport", { username: "ming", appkey, msg_ids: back.own([msg_id]) });
  }
  const roaming = await page("ming", 1);
  const receipts = await roaming.heard("onSyncMsgReceipt");
  same(receipts.map((one) => one.receipt_msgs.map(({ msg_id }) => msg_id)), [[missed.msg_id, second.msg_id]]);
  const history = (await roaming.heard("onSyncConversation")).find((one) => one.from_username === "omar");
  assert.equal(history.msgs.at(-1).msg_id, second.msg_id);
  assert.ok(history.msgs.length > 5);

  // a kick, a new password, and the end of the connection
  const desk = await page("ming");
  await roaming.ask("updateSelfPwd", { old_pwd: PASSWORD, new_pwd: "another word" });
  await desk.notified(2);
  await control({ kick: { username: "anna" } });
  await anna.notified(1);
  assert.equal(anna.sdk.isLogin(), false);
  await control({ drop: true });
  await roaming.heard("onDisconnect");
  assert.equal(roaming.sdk.isLogin(), false);
}

await main();
same([...guide.faults((name) => worked.has(name))], []);
console.log(JSON.stringify([...worked].sort()));
process.exit(0); // the SDK reconnects for ever
