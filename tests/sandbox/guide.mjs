// What the guide prints of each answer, listener and event, member by member, as a page gets it from the SDK. Where the
// vendor's SDK hands on something else than the guide prints, it is the SDK's; README.md lists those.
//
// A member is a type, "text" a string with something in it; what depends on the rest of the told is a function of it.

const SINGLE = 3;
const TRANSPARENT = { [SINGLE]: "single", 4: "group", 5: "devices" };

const USER = { username: "text", appkey: "text", nickname: "string" };
const PROFILE = {
  ...USER, avatar: "string", birthday: "string", gender: "number", signature: "string", region: "string",
  address: "string", mtime: "number",
};
const GROUP = {
  gid: "number", name: "text", desc: "string", appkey: "text", ctime: "number", mtime: "number", avatar: "string",
  group_type: "number",
};
const ROOM = {
  id: "number", name: "text", description: "string", appkey: "text", total_member_count: "number",
  max_member_count: "number",
};
const DEVICE = { platform: "text", mtime: "number", isOnline: "boolean", isLogin: "boolean", flag: "boolean" };
const CONVERSATION = {
  extras: "object", unread_msg_count: "number", name: "text", avatar: "string", mtime: "number", type: "number",
};
const CONTENT = {
  version: "number", target_type: "text", target_id: "text", from_type: "text", from_id: "text", from_name: "string",
  from_platform: "text", create_time: "number", msg_type: "text", msg_body: "object",
};
const NOTIFICATION = { enabled: "boolean", title: "string", alert: "string", at_prefix: "string" };
const MESSAGE = {
  msg_id: "number", msg_type: "number", ctime_ms: "number", need_receipt: "boolean", content: CONTENT,
  custom_notification: NOTIFICATION,
};
const FROM_USER = { from_appkey: "text", from_username: "text" };
const WITH = { appkey: "text", username: "text" };
const RECEIPT = { type: "number", receipt_msgs: [{ msg_id: "number", unread_count: "number" }] };
const SENT = { msg_id: "number", ctime_ms: "number" };

const receipt = (told) => ({ ...RECEIPT, ...(told.type === SINGLE ? WITH : { gid: "number" }) });
const device = (told) => ({ type: "number", ...(told.type === SINGLE ? WITH : { gid: "number" }) });
const from = (told) => (told.msg_type === SINGLE ? FROM_USER : { from_gid: "number" });

// The first argument of onSuccess, besides code and message. Calls that are not here have no more than those.
const ANSWERS = {
  login: { online_list: [DEVICE] },
  getUserInfo: { user_info: { ...PROFILE, extras: "object" } },
  getConversation: {
    conversations: [(told) => ({ ...CONVERSATION, ...(told.type === SINGLE ? USER : { gid: "text" }) })],
  },
  msgUnreadList: { msg_unread_list: { unread_list: [USER], read_list: [USER] } },
  addSingleReceiptReport: WITH,
  addGroupReceiptReport: { gid: "number" },
  getResource: { url: "text" },
  createGroup: { gid: "number", group_name: "text", group_descriptin: "string" },
  exitGroup: { gid: "number", group_name: "text" },
  getGroups: { group_list: [GROUP] },
  getGroupInfo: { group_info: GROUP },
  getGroupMembers: { member_list: [{ ...USER, avatar: "string", flag: "number", keep_silence: "boolean" }] },
  getAppkeyPublicGroups: { result: { total: "number", start: "number", groups: [GROUP] } },
  getAppkeyChatrooms: { result: { total: "number", start: "number", count: "number", rooms: [ROOM] } },
  getSelfChatrooms: { chat_rooms: [ROOM] },
  getChatroomInfo: { info: ROOM },
  enterChatroom: { id: "number" },
  exitChatroom: { id: "number" },
  getNoDisturb: { no_disturb: { global: "number", users: [USER], groups: [GROUP] } },
  groupShieldList: { groups: [GROUP] },
  getBlacks: { black_list: [PROFILE] },
  getFriendList: { friend_list: [{ ...PROFILE, memo_name: "string", memo_others: "string" }] },
};
for (const what of ["Msg", "Pic", "File", "Location", "Custom"]) {
  ANSWERS[`sendSingle${what}`] = { ...SENT, appkey: "text", target_username: "text" };
  ANSWERS[`sendGroup${what}`] = { ...SENT, target_gid: "number", unread_count: "number" };
  ANSWERS[`sendChatroom${what}`] = { ...SENT, room_id: "number" };
}

const BY = { from_username: "text", from_appkey: "text" };
const TO = { to_usernames: [USER] };
const IN_GROUP = { gid: "number", group_name: "text", media_id: "text" };
const FROM_GROUP = { from_gid: "number", group_name: "text", media_id: "text" };
const TO_GROUPS = { to_groups: [{ gid: "number", name: "text" }] };
const MEMO = { memo_name: "string", memo_others: "string" };

// By the type of the event.
const EVENTS = {
  1: { extra: "number" },
  2: {},
  5: (told) => ({ ...BY, extra: "number", media_id: "text", description: "text", return_code: "number" }),
  6: BY,
  7: {},
  8: { ...BY, ...TO, ...IN_GROUP },
  9: (told) => ({ ...(told.extra === 69 ? {} : BY), ...TO, ...IN_GROUP }),
  10: { ...BY, ...TO, ...IN_GROUP },
  11: { ...BY, ...TO, ...IN_GROUP, new_owner: "object" },
  12: { ...BY, ...TO, gid: "number" },
  37: {},
  38: {},
  39: {},
  40: {},
  55: (told) => ({ ...BY, msgid_list: ["number"], type: "number", ...(told.type === 0 ? TO : { from_gid: "number" }) }),
  56: (told) => ({ ...BY, ...FROM_GROUP, ...TO, by_self: "boolean", description: told.by_self ? "text" : "string" }),
  57: { ...BY, ...FROM_GROUP, ...TO, description: "text" },
  58: { ...BY, ...FROM_GROUP, ...TO, from_eventid: "number" },
  65: { ...BY, ...FROM_GROUP, ...TO, extra: "number" },
  80: { ...BY, ...FROM_GROUP, ...TO, extra: "number" },
  82: { ...BY, ...FROM_GROUP, ...TO },
  100: (told) => ({ ...TO, extra: "number", media_id: "text", description: told.extra === 7 ? MEMO : "string" }),
  101: { ...TO, extra: "number" },
  102: (told) => ({ extra: "number", ...(told.extra < 33 ? TO : told.extra < 35 ? TO_GROUPS : {}) }),
  103: { ...TO_GROUPS, extra: "number" },
  201: { description: device, msg_ids: ["number"] },
};

const event = (told) => {
  const printed = EVENTS[told.event_type];
  const rest = typeof printed === "function" ? printed(told) : printed;
  return { event_id: "number", event_type: "number", ctime_ms: "number", ...rest };
};

const LISTENERS = {
  onMsgReceive: { messages: [(told) => ({ ...MESSAGE, ...from(told) })] },
  onSyncConversation: [
    (told) => ({
      ...from(told), msg_type: "number", unread_msg_count: "number", msgs: [MESSAGE],
      receipt_msgs: [{ msg_id: "number", unread_count: "number", mtime: "number" }],
    }),
  ],
  onUserInfUpdate: { ...FROM_USER, mtime: "number" },
  onEventNotification: event,
  onSyncEvent: [event],
  onMsgReceiptChange: receipt,
  onSyncMsgReceipt: [receipt],
  onMutiUnreadMsgUpdate: device,
  onTransMsgRec: (told) => ({
    type: "number", cmd: "text",
    ...{ single: FROM_USER, group: { gid: "number" }, devices: { platform: "text" } }[TRANSPARENT[told.type]],
  }),
  onRoomMsg: { ...SENT, room_id: "number", content: CONTENT },
};

const TOLD = { ...ANSWERS, ...LISTENERS };

// What a page was told that the guide prints otherwise, and what of the guide it was not told at all.
export class Guide {
  constructor({ since }) {
    this.lacks = since === "2.5.0" ? SINCE_2_6_0 : new Set(); // what this version does not hand on
    this.differences = new Set();
    this.compared = new Set();
    this.empty = new Set(); // lists, by place, and those that had something in them
    this.filled = new Set();
  }

  compare(name, told) {
    this.compared.add(name);
    if (name === "onEventNotification") this.compared.add(`event ${told.event_type}`);
    if (ANSWERS[name]) this.walk({ code: "number", message: "text" }, told, name);
    if (TOLD[name]) this.walk(TOLD[name], told, name === "onEventNotification" ? `event ${told.event_type}` : name);
  }

  walk(printed, told, place) {
    if (this.lacks.has(place)) return;
    if (typeof printed === "function") this.walk(printed(told), told, place);
    else if (typeof printed === "string") this.check(printed, told, place);
    else if (told === null || typeof told !== "object") this.differences.add(`${place}: ${told}`);
    else if (Array.isArray(printed)) {
      (told.length ? this.filled : this.empty).add(place);
      for (const one of told) this.walk(printed[0], one, `${place}[]`);
    } else for (const [name, member] of Object.entries(printed)) this.walk(member, told[name], `${place}.${name}`);
  }

  check(type, told, place) {
    const is = type === "text" ? typeof told === "string" && told !== "" : typeof told === type && told !== null;
    if (!is) this.differences.add(`${place}: ${JSON.stringify(told)} is no ${type}`);
  }

  // Whatever was told otherwise, or not at all by an SDK that has these calls and listeners.
  *faults(has) {
    yield* this.differences;
    for (const place of this.empty) if (!this.filled.has(place)) yield `${place}: was always empty`;
    const events = Object.keys(EVENTS).map((type) => `event ${type}`);
    const names = [...Object.keys(TOLD).filter(has), ...events].filter((name) => !this.lacks.has(name));
    for (const name of names) if (!this.compared.has(name)) yield `${name}: never`;
  }
}

const SINCE_2_6_0 = new Set([
  "getNoDisturb.no_disturb.groups[].group_type", "groupShieldList.groups[].group_type", "event 58.from_eventid",
  "event 80", "event 82",
]);
