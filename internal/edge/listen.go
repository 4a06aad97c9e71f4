package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"abt2.dev"
)

// addressFile keeps the port that was found when any was asked for.
const addressFile = "address.json"

// keptAddress is what addressFile holds.
type keptAddress struct {
	Asked string `json:"asked"`
	Got   string `json:"got"`
}

// listen opens the socket users come by.
func listen(cfg *Config) (*gate, error) {
	if cfg.ListenFD != 0 {
		f := os.NewFile(uintptr(cfg.ListenFD), "listener")
		if f == nil {
			return nil, abt2.Errorf(abt2.CodeInvalid, "listening socket %d: is not open", cfg.ListenFD)
		}
		defer f.Close()
		l, err := net.FileListener(f)
		if err != nil {
			return nil, abt2.Wrap(abt2.CodeInvalid, err, "listening socket %d: is none", cfg.ListenFD)
		}
		return newGate(l)
	}
	name := filepath.Join(cfg.Dir, addressFile)
	address, kept := cfg.Listen, false
	if _, port, _ := net.SplitHostPort(cfg.Listen); port == "0" {
		var err error
		if address, kept, err = readAddress(name, cfg.Listen); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", address)
	switch {
	case err != nil && kept:
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge address %s: cannot be taken again; free it, or remove %s to let the edge find another", address, name)
	case err != nil:
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge address %s: cannot be listened on; free it, or choose another with --edge-listen", address)
	}
	if address == cfg.Listen && l.Addr().String() != cfg.Listen {
		if err := keepAddress(name, keptAddress{cfg.Listen, l.Addr().String()}); err != nil {
			l.Close()
			return nil, err
		}
	}
	return newGate(l)
}

func readAddress(name, asked string) (address string, kept bool, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return asked, false, nil
	}
	var a keptAddress
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return "", false, abt2.Wrap(abt2.CodeFailed, err, "edge address: %s cannot be read; remove it to let the edge find another port", name)
	}
	if a.Asked != asked {
		return asked, false, nil
	}
	return a.Got, true, nil
}

func keepAddress(name string, a keptAddress) error {
	b, err := json.Marshal(a)
	if err == nil {
		err = os.WriteFile(name+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "edge address: cannot be kept in %s", name)
	}
	return nil
}

// publicURL is the base of links where none was configured.
func publicURL(l net.Listener, tls bool) string {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, port))
}
