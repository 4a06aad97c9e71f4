package edge

import "sync"

// changes wakes everyone who waits for something to change: take next first,
// then look, then wait. The zero value is ready.
type changes struct {
	mu   sync.Mutex
	wake chan struct{}
}

// next returns a channel that is closed by the next fire.
func (c *changes) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return c.wake
}

func (c *changes) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}
