package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"abt2.dev"
)

// upload brings a build to the server, unless it is there.
func (a *app) upload(ctx context.Context, svc abt2.Service, b build) error {
	has, err := svc.HasArtifact(ctx, b.Digest)
	if err != nil {
		return err
	}
	if has {
		a.err.line("%s: the server has this build already", b.Name)
		return nil
	}
	body, err := b.open()
	if err != nil {
		return err
	}
	defer body.Close()
	bar := &bar{a: a, name: b.Name, total: b.Size}
	if err := svc.Upload(ctx, b.Artifact, &metered{body, bar.draw}); err != nil {
		bar.clear()
		return err
	}
	bar.clear()
	a.err.line("%s: uploaded %s", b.Name, bytesText(b.Size))
	return nil
}

// metered tells how much has been read.
type metered struct {
	r    io.Reader
	read func(n int)
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.read(n)
	return n, err
}

// bar shows on a terminal how far an upload is.
type bar struct {
	a     *app
	name  string
	total int64
	done  int64
	shown int // percent; drawn when it grows
}

func (b *bar) draw(n int) {
	b.done += int64(n)
	percent := int(100 * b.done / max(b.total, 1))
	if !b.a.err.terminal || percent <= b.shown {
		return
	}
	b.shown = percent
	const width = 30
	full := width * min(percent, 100) / 100
	fmt.Fprintf(b.a.err, "\r\x1b[K%s [%s%s] %3d %% of %s", b.name, strings.Repeat("=", full), strings.Repeat(" ", width-full), percent, bytesText(b.total))
}

func (b *bar) clear() {
	if b.shown > 0 {
		fmt.Fprint(b.a.err, "\r\x1b[K")
	}
}
