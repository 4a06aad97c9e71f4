package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestFlushAlong: what is written while the disk is at work is there at the
// end, and a flush that failed is not forgotten.
func TestFlushAlong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	chunk := bytes.Repeat([]byte("abt2"), flushEvery/8)
	write := func(path string) error {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		a := flushAlong(f)
		for range 5 {
			if _, err = a.Write(chunk); err != nil {
				break
			}
		}
		if waited := a.wait(); waited != nil {
			return waited
		}
		return err
	}
	if err := write(path); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, bytes.Repeat(chunk, 5)) {
		t.Errorf("the file holds %d bytes, %v", len(got), err)
	}
	if err := write(os.DevNull); err == nil { // it takes everything and cannot be flushed
		t.Error("a flush that failed is forgotten")
	}
}
