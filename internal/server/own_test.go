package server

import "testing"

func TestAnswersAt(t *testing.T) {
	for _, c := range []struct {
		listens, address string
		want             bool
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", true},
		{"127.0.0.1:8080", "localhost:8080", true},
		{"127.0.0.1:8080", "127.0.0.1:8081", false},
		{"127.0.0.1:8080", "10.1.2.3:8080", false},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"[::]:80", "127.0.0.2:80", true},
		{"[::]:80", "[::1]:80", true},
		{"[::]:80", "203.0.113.7:80", false},
		{"127.0.0.1:8080", "order.internal:8080", false},
	} {
		if got := answersAt(c.listens, c.address); got != c.want {
			t.Errorf("who listens at %s is reached at %s: %v", c.listens, c.address, got)
		}
	}
}
