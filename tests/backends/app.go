// A Go app with sessions in its own memory; the page's code is beside it.
package main

import (
	"net/http"
	"os"
	"strconv"
	"sync"
)

var (
	lock     sync.Mutex
	sessions = map[string]string{}
	made     int
)

func userOf(r *http.Request) (string, bool) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return "", false
	}
	lock.Lock()
	defer lock.Unlock()
	user, ok := sessions[cookie.Value]
	return user, ok
}

func main() {
	http.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		made++
		id := "made-up-session-" + strconv.Itoa(made)
		sessions[id] = r.URL.Query().Get("user")
		http.SetCookie(w, &http.Cookie{Name: "session", Value: id})
		w.WriteHeader(http.StatusNoContent)
	})
	http.HandleFunc("/ban", func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		for id, user := range sessions {
			if user == r.URL.Query().Get("user") {
				delete(sessions, id)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	http.HandleFunc("/auth/check", authCheck)
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
