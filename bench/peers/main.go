// Go's net/http with HS256 by hand: nothing but the token, the payload and JSON.
package main

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

type authPayload struct {
	Appkey    string `json:"appkey"`
	RandomStr string `json:"random_str"`
	Signature string `json:"signature"`
	Timestamp string `json:"timestamp"`
}

type claims struct {
	Sub string   `json:"sub"`
	Exp *float64 `json:"exp"`
	Nbf *float64 `json:"nbf"`
}

var (
	appkey       = os.Getenv("APPKEY")
	masterSecret = os.Getenv("MASTER_SECRET")
	jwtKey       = []byte(os.Getenv("JWT_KEY"))
	errBadToken  = errors.New("the token is bad")
)

// verify returns the user of a token that is signed with our key by HS256 and has not expired.
func verify(token string, now time.Time) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errBadToken
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", errBadToken
	}
	mac := hmac.New(sha256.New, jwtKey)
	mac.Write([]byte(token[:len(parts[0])+1+len(parts[1])]))
	if !hmac.Equal(signature, mac.Sum(nil)) {
		return "", errBadToken
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return "", errBadToken
	}
	var named struct{ Alg string }
	if json.Unmarshal(header, &named) != nil || named.Alg != "HS256" {
		return "", errBadToken
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errBadToken
	}
	var told claims
	if json.Unmarshal(body, &told) != nil || told.Sub == "" || told.Exp == nil {
		return "", errBadToken
	}
	seconds := float64(now.Unix())
	if seconds >= *told.Exp || (told.Nbf != nil && seconds < *told.Nbf) {
		return "", errBadToken
	}
	return told.Sub, nil
}

func issue(now time.Time) (authPayload, error) {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return authPayload{}, err
	}
	randomStr := hex.EncodeToString(random[:])
	timestamp := strconv.FormatInt(now.UnixMilli(), 10)
	text := "appkey=" + appkey + "&timestamp=" + timestamp + "&random_str=" + randomStr + "&key=" + masterSecret
	sum := md5.Sum([]byte(text))
	return authPayload{appkey, randomStr, hex.EncodeToString(sum[:]), timestamp}, nil
}

func handle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodPost {
		http.Error(w, `{"message":"POST it"}`, http.StatusMethodNotAllowed)
		return
	}
	now := time.Now()
	authorization := r.Header.Get("Authorization")
	if !strings.HasPrefix(authorization, "Bearer ") {
		http.Error(w, `{"message":"log in first"}`, http.StatusUnauthorized)
		return
	}
	if _, err := verify(authorization[len("Bearer "):], now); err != nil {
		http.Error(w, `{"message":"the token is bad"}`, http.StatusUnauthorized)
		return
	}
	issued, err := issue(now)
	if err != nil {
		http.Error(w, `{"message":"no random numbers"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(issued)
}

func main() {
	http.HandleFunc("/v1/auth-payload", handle)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
