package release

import (
	"context"
	"io"
)

// Backup implements abt2.Service.
func (e *Engine) Backup(ctx context.Context, w io.Writer) error {
	if err := e.checkReady(); err != nil {
		return err
	}
	return e.WriteBackup(ctx, w)
}
