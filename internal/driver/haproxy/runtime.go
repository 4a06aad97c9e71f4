package haproxy

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// socket is one of HAProxy's: the worker's, or the master's, through which any
// worker can be reached. Every command has a connection of its own, which
// HAProxy closes when it has answered (management guide, section 9.3).
type socket string

// maxAnswer bounds what is read of an answer.
const maxAnswer = 256 << 20

// patience bounds a command where the caller does not: HAProxy answers from
// memory, or it hangs.
const patience = 10 * time.Second

// ask sends a command and returns the answer. Where nobody listens the error
// has CodeUnavailable.
func (s socket) ask(ctx context.Context, command string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", string(s))
	if err != nil {
		return "", abt2.Wrap(abt2.CodeUnavailable, err, "HAProxy does not answer")
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", s.failed(ctx, err)
	}
	if c, ok := conn.(*net.UnixConn); ok { // the master would wait for more
		if err := c.CloseWrite(); err != nil {
			return "", s.failed(ctx, err)
		}
	}
	b, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	if err != nil {
		return "", s.failed(ctx, err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (s socket) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return abt2.Wrap(abt2.CodeUnavailable, err, "HAProxy broke off")
}

// asker sends a command to a worker and returns its answer: through its own
// socket, or through the master's.
type asker func(ctx context.Context, command string) (string, error)

// order sends a command that is answered by silence, or by words that begin
// with one of those given; anything else is why HAProxy refused.
func (a asker) order(ctx context.Context, command string, fine ...string) error {
	said, err := a(ctx, command)
	if err != nil || said == "" {
		return err
	}
	for _, f := range fine {
		if strings.HasPrefix(said, f) {
			return nil
		}
	}
	line, _, _ := strings.Cut(command, "\n")
	verb := strings.Join(strings.Fields(line)[:min(2, len(strings.Fields(line)))], " ") // never what is in a map
	return abt2.Errorf(abt2.CodeFailed, "HAProxy refuses %q: %s", verb, firstLine(said))
}

// mapEntries returns what a worker routes by.
func (a asker) mapEntries(ctx context.Context) (map[string]string, error) {
	said, err := a(ctx, "show map "+liveMap)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(said) {
		address, entry, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(address, "0x") {
			return nil, abt2.Errorf(abt2.CodeFailed, "HAProxy does not show its map: %s", firstLine(said))
		}
		key, value, _ := strings.Cut(entry, " ")
		out[key] = value
	}
	return out, nil
}

// commandSize bounds a command with its payload, which HAProxy reads into one
// buffer of 16 KiB.
const commandSize = 12 << 10

// replaceMap makes a worker route by other entries, from one moment to the next.
func (a asker) replaceMap(ctx context.Context, entries map[string]string) error {
	said, err := a(ctx, "prepare map "+liveMap)
	if err != nil {
		return err
	}
	version, ok := strings.CutPrefix(said, "New version created: ")
	if !ok {
		return abt2.Errorf(abt2.CodeFailed, "HAProxy refuses \"prepare map\": %s", firstLine(said))
	}
	command := "add map @" + version + " " + liveMap + " <<\n"
	var b strings.Builder
	send := func() error {
		defer b.Reset()
		return a.order(ctx, command+b.String())
	}
	for _, line := range lines(entries) {
		if b.Len()+len(line) > commandSize {
			if err := send(); err != nil {
				return err
			}
		}
		b.WriteString(line + "\n")
	}
	if err := send(); err != nil {
		return err
	}
	return a.order(ctx, "commit map @"+version+" "+liveMap)
}

// serverState is a server as a worker has it.
type serverState struct {
	backend, name string
	address       string // ip:port
	up            bool   // gets requests
}

// serverColumns are what is read of a server (management guide, section 9.3).
var serverColumns = [...]string{"be_name", "srv_name", "srv_addr", "srv_port", "srv_op_state", "srv_admin_state"}

// servers returns the servers of every version's backends.
func (a asker) servers(ctx context.Context) ([]serverState, error) {
	said, err := a(ctx, "show servers state")
	if err != nil {
		return nil, err
	}
	column := map[string]int{}
	var out []serverState
	for line := range strings.Lines(said) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "#" {
			for i, name := range fields[1:] {
				column[name] = i
			}
			continue
		}
		get := func(name string) string {
			if i, ok := column[name]; ok && i < len(fields) {
				return fields[i]
			}
			return ""
		}
		backend := get("be_name")
		if !strings.HasPrefix(backend, plainPrefix) && !strings.HasPrefix(backend, grpcPrefix) {
			continue
		}
		out = append(out, serverState{
			backend: backend, name: get("srv_name"), address: net.JoinHostPort(get("srv_addr"), get("srv_port")),
			up: get("srv_op_state") == "2" && get("srv_admin_state") == "0",
		})
	}
	if slices.ContainsFunc(serverColumns[:], func(name string) bool { _, ok := column[name]; return !ok }) {
		return nil, abt2.Errorf(abt2.CodeFailed, "HAProxy does not show its servers: %s", firstLine(said))
	}
	return out, nil
}

// info is what a worker says of itself.
type info struct{ pid, description string }

func (a asker) info(ctx context.Context) (i info, err error) {
	said, err := a(ctx, "show info")
	for line := range strings.Lines(said) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); name {
		case "Pid":
			i.pid = value
		case "description":
			i.description = value
		}
	}
	if err == nil && i.pid == "" {
		return i, abt2.Errorf(abt2.CodeFailed, "HAProxy does not tell what it is: %s", firstLine(said))
	}
	return i, err
}
