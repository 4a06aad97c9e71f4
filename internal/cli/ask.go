package cli

import (
	"bufio"
	"context"
	"strings"

	"abt2.dev"
)

// ask makes sure that a person agrees: by --yes, or by answering on a terminal.
// Where nobody can be asked it is refused.
func (a *app) ask(ctx context.Context, question string) error {
	if a.yes {
		return nil
	}
	if !a.canAsk() {
		return abt2.Errorf(abt2.CodeConfirm, "%s", question)
	}
	a.err.line("%s", question)
	if _, err := a.err.Write([]byte("go on? [y/N] ")); err != nil {
		return err
	}
	answer := make(chan string, 1)
	go func() { // a terminal's read cannot be ended; it ends with the process at the latest
		s, _ := bufio.NewReader(a.env.Stdin).ReadString('\n')
		answer <- s
	}()
	select {
	case <-ctx.Done():
		a.err.line("")
		return answered{exitDetached}
	case s := <-answer:
		switch strings.ToLower(strings.TrimSpace(s)) {
		case "y", "yes":
			return nil
		}
		a.err.line("nothing was changed")
		return answered{exitFailed}
	}
}

// canAsk tells whether there is a person to be asked.
func (a *app) canAsk() bool { return a.env.IsTerminal(a.env.Stdin) && a.err.terminal }
