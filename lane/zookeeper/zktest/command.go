package zktest

import (
	"context"
	"io"
	"net"
	"time"
)

// Ask sends one of ZooKeeper's four-letter commands to server i and returns the
// answer: "dump" lists sessions and their ephemeral nodes, "cons" connections,
// "mntr" counters. Empty: the server does not answer.
func (e *Ensemble) Ask(i int, command string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := ask(ctx, e.servers[i].address, command)
	if err != nil {
		return ""
	}
	return answer
}

// ask speaks the protocol of the "four letter words": the server answers and
// closes.
func ask(ctx context.Context, address, command string) (string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(c, command); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}
