// A Nest app on Express with express-session, whose sessions are in its own memory.
import "reflect-metadata";
import { Controller, Get, HttpCode, Module, Post, Query, Session, UnauthorizedException } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import session from "express-session";

const store = new session.MemoryStore();

// the page's code

@Controller()
class Users {
  @Post("login") @HttpCode(204)
  logIn(@Session() session: Record<string, unknown>, @Query("user") user: string) {
    session.userId = user;
  }

  @Post("ban") @HttpCode(204)
  ban() {
    return new Promise<void>((done) => store.clear(() => done()));
  }
}

@Module({ controllers: [AuthCheckController, Users] })
class App {}

const app = await NestFactory.create(App, { logger: ["error"] });
app.use(session({ secret: "made-up-secret-of-the-app", resave: false, saveUninitialized: false, store }));
await app.listen(Number(process.argv[2]), "127.0.0.1");
