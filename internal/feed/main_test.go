package feed_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if fleet := os.Getenv(fleetEnv); fleet != "" {
		if err := runFleet(fleet); err != nil && !errors.Is(err, io.EOF) { // EOF: the server has gone first
			fmt.Fprintln(os.Stderr, "fleet:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
