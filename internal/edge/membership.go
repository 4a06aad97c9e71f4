package edge

import (
	"context"
	"sync"

	"abt2.dev/lane/feedclient"
)

// membership is whether this process is the one that the server knows as the
// edge: of the processes of one edge, only the newest hears from it and confirms.
// The zero value has not joined.
type membership struct {
	mu     sync.Mutex
	client *feedclient.Client // nil: not joined
	leave  func()             // ends the client, and returns when it has ended
}

// join lets client hear from the server until end, or until ctx ends.
func (m *membership) join(ctx context.Context, client *feedclient.Client) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = client.Run(ctx) // it ends with ctx only
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client, m.leave = client, func() { cancel(); <-done }
}

// end returns when nothing is applied or confirmed any more.
func (m *membership) end() {
	m.mu.Lock()
	leave := m.leave
	m.client, m.leave = nil, nil
	m.mu.Unlock()
	if leave != nil {
		leave()
	}
}

// report asks for a report to the server, if it has joined.
func (m *membership) report() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil {
		m.client.Report()
	}
}
