// The SDK: loaded once for the whole page, and one object of it for each connection.

import { element } from "./page.js";

let loading = null; // a promise of the SDK's options, once its script is loaded

/** @returns a new SDK object, with a socket of its own. Which SDK and which gateway, the service says. */
export async function newSdk(client) {
  const mine = (loading = loading ?? load(client));
  try {
    const options = await mine; // which defines JMessage
    return new window.JMessage({ ...options });
  } catch (error) {
    if (loading === mine) loading = null;
    throw error;
  }
}

async function load(client) {
  const told = (await client.bootstrap()).sdk;
  await new Promise((resolve, reject) => {
    const script = element("script", { src: told.script });
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${told.script}: cannot be loaded`));
    document.head.append(script);
  });
  return told.options;
}

export const closeSdk = (JIM) => JIM.channel.client.close(); // both have it; a page of an app has no need to
