package abt2

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// PageCookie is the cookie that says which environment a page came from.
const PageCookie = "abt2-page"

// Skew is a product's skew protection: for a while after a page was loaded, its
// scripts, styles and calls go to the environment that it came from, although
// the product has moved on. A Skew is never changed, but replaced.
type Skew struct {
	Keep Duration `json:"keep"` // how long after the page's load
	Key  SkewKey  `json:"key"`
}

// Bounds of Skew.Keep.
const (
	ShortestSkew = Duration(time.Second)
	LongestSkew  = Duration(time.Hour)
)

// SkewKey signs page cookies. It is a secret, and prints as none.
type SkewKey []byte

// SkewKeySize is how many random bytes a SkewKey has.
const SkewKeySize = 32

func (SkewKey) String() string       { return "(secret)" }
func (SkewKey) GoString() string     { return "(secret)" }
func (SkewKey) LogValue() slog.Value { return slog.StringValue("(secret)") }

// pageMAC is how many bytes of the HMAC-SHA256 a page cookie carries: RFC 2104,
// section 5, asks for at least half of them.
const pageMAC = sha256.Size / 2

// Sign returns the value of the page cookie for a page of the environment that
// is loaded now: environment, end in Unix seconds and signature, with dots between.
func (s Skew) Sign(epoch string, product ProductName, env EnvironmentID, now time.Time) string {
	claim := env.String() + "." + strconv.FormatInt(now.Add(time.Duration(s.Keep)).Unix(), 10)
	return claim + "." + base64.RawURLEncoding.EncodeToString(s.mac(epoch, product, claim))
}

// Open returns the environment that a page cookie names. It is zero for one
// that was not signed with this key for this product in this epoch, for one that
// has expired, and for one that would last longer than pages are kept.
func (s Skew) Open(epoch string, product ProductName, value string, now time.Time) EnvironmentID {
	if len(value) > 2*20+2+base64.RawURLEncoding.EncodedLen(pageMAC) {
		return 0
	}
	dot := strings.LastIndexByte(value, '.')
	if dot < 0 {
		return 0
	}
	claim := value[:dot]
	mac, err := base64.RawURLEncoding.Strict().DecodeString(value[dot+1:])
	if err != nil || !hmac.Equal(mac, s.mac(epoch, product, claim)) {
		return 0
	}
	id, end, _ := strings.Cut(claim, ".")
	env, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0
	}
	seconds, err := strconv.ParseInt(end, 10, 64)
	if err != nil {
		return 0
	}
	if left := time.Unix(seconds, 0).Sub(now); left <= 0 || left > time.Duration(s.Keep) {
		return 0
	}
	return EnvironmentID(env)
}

// mac signs a claim. No part can contain the line break between them.
func (s Skew) mac(epoch string, product ProductName, claim string) []byte {
	h := hmac.New(sha256.New, s.Key)
	h.Write([]byte(PageCookie + "\n" + epoch + "\n" + string(product) + "\n" + claim))
	return h.Sum(nil)[:pageMAC]
}
