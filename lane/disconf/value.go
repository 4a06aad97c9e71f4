package disconf

import (
	"path"
	"sync"
)

// Value is one of disconf's values, kept current. Its methods may be called from
// any goroutine.
type Value struct {
	folder, name string
	node         string // in ZooKeeper
	accept       func(string) error
	bound        bool   // there is a text
	told         string // what was reported last,
	session      int64  // and in which session,
	watched      bool   // and that is watched; all four are of whoever keeps it

	mu      sync.RWMutex
	text    string
	err     error
	changed chan struct{} // closed when the text changes
}

// Get returns the value in effect.
func (v *Value) Get() string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.text
}

// Err says why the value may not be what the server has: ZooKeeper or the
// server cannot be reached, or the newer value was refused. It is nil again once
// that is over.
func (v *Value) Err() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.err
}

// Changed returns the value in effect and a channel that is closed when another is.
func (v *Value) Changed() (text string, changed <-chan struct{}) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.text, v.changed
}

// take puts a text into effect unless it is refused.
func (v *Value) take(text string) error {
	if v.bound && text == v.text { // written by the only one that syncs
		return nil
	}
	if v.accept != nil {
		if err := v.accept(text); err != nil {
			return &Refused{text, err}
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text, v.bound = text, true
	close(v.changed)
	v.changed = make(chan struct{})
	return nil
}

func (v *Value) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = err
}

func (v *Value) child(name string) string { return path.Join(v.node, name) }

// Refused is the error of a value that the program's accept function has refused.
type Refused struct {
	Text  string
	Cause error
}

// Error implements error. It does not show the value, which may be a secret.
func (r *Refused) Error() string { return "refused: " + r.Cause.Error() }

// Unwrap returns the function's error.
func (r *Refused) Unwrap() error { return r.Cause }
