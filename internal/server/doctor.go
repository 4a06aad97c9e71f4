package server

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"abt2.dev/internal/doctor"
	"abt2.dev/internal/driver/process"
	"abt2.dev/internal/edge"
	"abt2.dev/internal/edge/edgectl"
)

// askLimit bounds how long a part may take to say who it is.
const askLimit = 300 * time.Millisecond

// Examine checks what a server with these settings needs, or has. It works with
// a server and without one, and changes nothing.
func Examine(ctx context.Context, c Config) []doctor.Finding {
	if dir, err := filepath.Abs(c.DataDir); err == nil {
		c.DataDir = dir
	}
	s := doctor.Subject{
		Folder: c.DataDir, MaxPath: maxDataDir, Program: program(c.Version), Now: time.Now(),
		Format: openFolder(c.DataDir, program(c.Version)),
		Secrets: []string{
			filepath.Join(c.DataDir, operatorTokenFile), filepath.Join(c.DataDir, signingKeyFile), filepath.Join(c.edgeDir(), edge.CredentialFile),
		},
		Ranges: []doctor.Range{{Name: "unversioned names", Min: namePortMin, Max: namePortMax}, {Name: "instances", Min: process.DefaultPortMin, Max: process.DefaultPortMax}},
	}
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	server, answers := describeServer(ask, c.DataDir)
	if answers {
		s.Parts = append(s.Parts, doctor.Part{Name: "the server", Version: server.Version})
	}
	s.Ports = append(s.Ports, doctor.Port{Name: "listen", Address: keptAddress(c), Ours: answers && server.Address == keptAddress(c)})
	e, err := edgectl.NewClient(c.edgeDir()).Describe(ask)
	port := doctor.Port{Name: "edge-listen", Address: c.EdgeListen}
	if err == nil {
		s.Parts = append(s.Parts, doctor.Part{Name: e.ID, Version: e.Version})
		if len(e.Addresses) > 0 && samePort(e.Addresses[0], c.EdgeListen) {
			port = doctor.Port{Name: port.Name, Address: e.Addresses[0], Ours: true}
		}
	}
	if !c.EdgeElsewhere { // where it is to listen is somebody else's
		s.Ports = append(s.Ports, port)
	}
	return doctor.Examine(ctx, s)
}

// keptAddress is where the API is to listen: what was picked for port 0 is kept.
func keptAddress(c Config) string {
	host, port, err := net.SplitHostPort(c.Listen)
	if b, readErr := os.ReadFile(filepath.Join(c.DataDir, listenFile)); err == nil && readErr == nil && port == "0" {
		if _, kept, err := net.SplitHostPort(strings.TrimSpace(string(b))); err == nil {
			return net.JoinHostPort(host, kept)
		}
	}
	return c.Listen
}

// samePort reports whether an address is one that was asked for: port 0 asks for any.
func samePort(is, asked string) bool {
	_, have, err1 := net.SplitHostPort(is)
	_, want, err2 := net.SplitHostPort(asked)
	return err1 == nil && err2 == nil && (want == "0" || have == want)
}

// description is what a server says of itself on its control socket.
type description struct {
	Version string `json:"version"`
	Address string `json:"address"` // of the API; empty: it does not listen yet
}

// describeServer asks the server of a data folder who it is. An older one may
// answer without saying.
func describeServer(ctx context.Context, dir string) (d description, answers bool) {
	res, err := ask(ctx, controlClient(dir), http.MethodGet, "/describe")
	if err != nil {
		return d, false
	}
	defer res.Body.Close()
	_ = json.NewDecoder(res.Body).Decode(&d)
	return d, true
}
