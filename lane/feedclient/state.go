package feedclient

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
)

// stateFile holds the last whole that was applied, behind the sha256 of it.
const stateFile = "feed"

// Restore hands the last whole that was applied, by this process or one
// before it, to Table or Routes. It is called before Run, or not at all. Where
// nothing usable was kept it returns false, and an error if something was there.
func (c *Client) Restore(ctx context.Context) (found bool, err error) {
	if c.cfg.State == "" {
		return false, nil
	}
	m, err := load(filepath.Join(c.cfg.State, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch applied := c.deliver(ctx, m); {
	case applied == nil:
		return false, fmt.Errorf("kept message in %s is not for this role", c.cfg.State)
	case applied.Refused != "":
		return false, fmt.Errorf("kept message in %s: %s", c.cfg.State, applied.Refused)
	}
	return true, nil
}

// keep saves the last whole applied. Failing costs only the next start without a server.
func (c *Client) keep(m *feedpb.ServerMessage) {
	if c.cfg.State == "" {
		return
	}
	if err := save(c.cfg.State, m); err != nil {
		c.log.Warn("table not kept for the next start", "error", err)
	}
}

// save replaces the file as a whole. It does not wait for the disk: a file cut
// by a power failure fails its checksum and counts as absent.
func save(dir string, m *feedpb.ServerMessage) error {
	content, err := encode(m)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, stateFile+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, stateFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func encode(m *feedpb.ServerMessage) ([]byte, error) {
	body, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return append(sum[:], body...), nil
}

func load(name string) (*feedpb.ServerMessage, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(b) < sha256.Size || sha256.Sum256(b[sha256.Size:]) != [sha256.Size]byte(b[:sha256.Size]) {
		return nil, fmt.Errorf("kept message %s is damaged", name)
	}
	m := &feedpb.ServerMessage{}
	if err := proto.Unmarshal(b[sha256.Size:], m); err != nil {
		return nil, fmt.Errorf("kept message %s: %w", name, err)
	}
	return m, nil
}
