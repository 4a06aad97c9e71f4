package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"abt2.dev"
	"abt2.dev/internal/feed"
)

// Files of the data folder that hold secrets, 0600.
const (
	operatorTokenFile = "operator.token" // what operators show
	signingKeyFile    = "credentials.key"
)

// Kinds of credentials beside the operator's.
const (
	kindEdge     = string(feed.KindEdge)
	kindInstance = string(feed.KindInstance)
)

// credentials knows who may talk to the server: whoever shows the operator's
// token, and the edges and instances it has signed a credential for. A signed
// credential is valid for as long as the data folder's key, so that an instance
// that outlives the server is known to the next one.
type credentials struct {
	operator string
	key      []byte
}

// openCredentials reads the data folder's secrets, making them the first time.
func openCredentials(dir string) (*credentials, error) {
	operator, err := secretFile(filepath.Join(dir, operatorTokenFile))
	if err != nil {
		return nil, err
	}
	key, err := secretFile(filepath.Join(dir, signingKeyFile))
	if err != nil {
		return nil, err
	}
	return &credentials{operator: operator, key: []byte(key)}, nil
}

// secretFile returns the secret in the file, which only its owner may read.
func secretFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return "", abt2.Errorf(abt2.CodeFailed, "%s: others may read it (%v); chmod 600 it, and remove it first if they may have: a new one is made at the next start", path, info.Mode().Perm())
		}
		if s := strings.TrimSpace(string(b)); len(s) >= 32 {
			return s, nil
		}
		return "", abt2.Errorf(abt2.CodeFailed, "%s: is cut short; remove it, a new one is made at the next start", path)
	case !errors.Is(err, fs.ErrNotExist):
		return "", abt2.Wrap(abt2.CodeFailed, err, "a secret of the data folder cannot be read")
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	s := base64.RawURLEncoding.EncodeToString(random)
	return s, writeWhole(path, []byte(s+"\n"))
}

// writeWhole writes a 0600 file so that a crash leaves the old content or the new.
func writeWhole(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already once it has been renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// issue signs a credential for an edge or an instance.
func (c *credentials) issue(kind, id string) string {
	return kind + "." + id + "." + c.sign(kind, id)
}

func (c *credentials) sign(kind, id string) string {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(kind + "\x00" + id))
	return hex.EncodeToString(mac.Sum(nil))
}

// verify returns whom an edge's or instance's credential was issued to.
func (c *credentials) verify(credential string) (kind, id string, err error) {
	kind, rest, _ := strings.Cut(credential, ".")
	id, mac, _ := strings.Cut(rest, ".")
	if (kind != kindEdge && kind != kindInstance) || id == "" || !hmac.Equal([]byte(mac), []byte(c.sign(kind, id))) {
		return "", "", abt2.Errorf(abt2.CodeUnauthorized, "the credential is not one of this server's edges or instances")
	}
	return kind, id, nil
}

// router returns whom a router's credential was issued to, for the feed.
func (c *credentials) router(_ context.Context, credential string) (feed.Identity, error) {
	kind, id, err := c.verify(credential)
	if err != nil {
		return feed.Identity{}, err
	}
	return feed.Identity{Kind: feed.Kind(kind), ID: id}, nil
}
