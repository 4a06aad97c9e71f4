package cli

import (
	"context"
	"io"

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
	bar := &bar{a: a, name: b.Name, total: b.Size, of: bytesText(b.Size)}
	if err := svc.Upload(ctx, b.Artifact, &metered{body, func(n int) { bar.draw(bar.done + int64(n)) }}); err != nil {
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
