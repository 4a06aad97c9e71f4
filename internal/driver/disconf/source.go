package disconf

import (
	"context"

	"abt2.dev"
)

// source is where clients fetch values, and what tells them to. One goroutine
// at a time calls it, but for the methods that only look.
type source interface {
	// begin finds out whether these values may be published here.
	begin(ctx context.Context, want map[string]values) error
	// put lets clients fetch a value, and notifies those that watch it, unless it
	// is there already.
	put(ctx context.Context, app string, k key, value string) (written bool, err error)
	// remind notifies once more of the value that stands: a client that fetched
	// it before it began to watch has missed the change.
	remind(ctx context.Context, app string, k key, value string) error
	// forget takes away what is of abt2 and wanted no more.
	forget(ctx context.Context, want map[string]values)
	// compare names what does not stand where it should, and what stands among
	// abt2's values and is none.
	compare(ctx context.Context, app string, want values) ([]abt2.Difference, error)
}
