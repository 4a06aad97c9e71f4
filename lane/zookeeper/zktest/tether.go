package zktest

import (
	"os/exec"
	"runtime"
)

// startTethered starts a command that ends with the test's process, however
// that ends, where the system can promise it. ended is closed when the command
// has ended.
func startTethered(cmd *exec.Cmd) (ended chan struct{}, err error) {
	cmd.SysProcAttr = tether()
	ended, started := make(chan struct{}), make(chan error)
	go func() {
		// The system ends a tethered process with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed, as a rule
			close(ended)
		}
	}()
	return ended, <-started
}
