<?php
// A Laravel app without its skeleton, for `php -S`: its sessions in files, its users all those who are not banned.
error_reporting(E_ALL & ~E_DEPRECATED);  // Debian's Laravel is older than its PHP
require "Illuminate/autoload.php";

use Illuminate\Auth\GenericUser;
use Illuminate\Config\Repository;
use Illuminate\Contracts\Auth\Authenticatable;
use Illuminate\Contracts\Auth\UserProvider;
use Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse;
use Illuminate\Cookie\Middleware\EncryptCookies;
use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use Illuminate\Session\Middleware\StartSession;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Facade;
use Illuminate\Support\Facades\Route;

class Users implements UserProvider {
    public function __construct(private string $folder) {}
    public function retrieveById($id) {
        return file_exists("$this->folder/banned-$id") ? null : new GenericUser(["id" => $id]);
    }
    public function retrieveByToken($id, $token) { return null; }
    public function updateRememberToken(Authenticatable $user, $token) {}
    public function retrieveByCredentials(array $credentials) { return null; }
    public function validateCredentials(Authenticatable $user, array $credentials) { return false; }
}

$folder = dirname(getenv("CODE"));
$app = new Application($folder);
$app->instance("config", new Repository([
    "app" => ["key" => "made-up-key-of-the-app-01234567.", "cipher" => "AES-256-CBC"],
    "auth" => [
        "defaults" => ["guard" => "web"],
        "guards" => ["web" => ["driver" => "session", "provider" => "users"]],
        "providers" => ["users" => ["driver" => "all"]],
    ],
    "session" => [
        "driver" => "file", "files" => $folder, "lifetime" => 120, "expire_on_close" => false, "encrypt" => false,
        "lottery" => [0, 100], "cookie" => "laravel_session", "path" => "/", "domain" => null, "secure" => false,
        "http_only" => true, "same_site" => "lax",
    ],
    "view" => ["paths" => [], "compiled" => $folder],
]));
Facade::setFacadeApplication($app);
foreach (["Auth\Auth", "Cookie\Cookie", "Encryption\Encryption", "Filesystem\Filesystem", "Session\Session", "View\View"] as $name) {
    $app->register("Illuminate\\{$name}ServiceProvider");
}
$app->instance("request", $request = Request::capture());
$app->boot();
Auth::provider("all", fn () => new Users($folder));

Route::middleware([EncryptCookies::class, AddQueuedCookiesToResponse::class, StartSession::class])->group(function () use ($folder) {
    require getenv("CODE");
    Route::post("/login", function (Request $request) {
        Auth::loginUsingId($request->query("user"));
        return response("", 204);
    });
    Route::post("/ban", function (Request $request) use ($folder) {
        touch("$folder/banned-" . $request->query("user"));
        return response("", 204);
    });
});
$app->make("router")->dispatch($request)->send();
