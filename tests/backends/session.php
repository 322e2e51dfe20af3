<?php
// A PHP app with PHP's own sessions, for `php -S`.
$path = strtok($_SERVER["REQUEST_URI"], "?");
if ($path === "/login") {
    session_start();
    $_SESSION["user_id"] = $_GET["user"];
    http_response_code(204);
} elseif ($path === "/ban") {
    array_map("unlink", glob(session_save_path() . "/sess_*"));
    http_response_code(204);
} elseif ($path === "/auth/check") {
    require getenv("CODE");
} else {
    return false;
}
