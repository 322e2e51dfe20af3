// An Express app with express-session, whose sessions are in its own memory.
const fs = require("node:fs");
const express = require("express");
const session = require("express-session");

const app = express();
const store = new session.MemoryStore();
app.use(session({ secret: "made-up-secret-of-the-app", resave: false, saveUninitialized: false, store }));

app.post("/login", (request, response) => {
  request.session.userId = request.query.user;
  response.sendStatus(204);
});

app.post("/ban", (request, response) => store.clear(() => response.sendStatus(204)));

eval(fs.readFileSync(process.env.CODE, "utf8")); // the page's own code

app.listen(Number(process.argv[2]), "127.0.0.1");
