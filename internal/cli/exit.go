package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

// Exit statuses, the only place that knows them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDifferences = 3
	exitRefused     = 4
	exitOwner       = 5
	exitUnconfirmed = 6
	exitNoServer    = 7
	exitCommitted   = 8
	exitInProgress  = 10
	exitNotEnded    = 11
	exitDetached    = 130 // as a shell says of Ctrl-C
)

var exitMeanings = []struct {
	status  int
	meaning string
}{
	{exitOK, "yes, done, or the same as before"},
	{exitFailed, "failed"},
	{exitUsage, "usage: the input is wrong; nothing was changed"},
	{exitDifferences, "differences found"},
	{exitRefused, "refused: the state does not allow it"},
	{exitOwner, "another operator's session"},
	{exitUnconfirmed, "not confirmed, and nothing was changed"},
	{exitNoServer, "no server"},
	{exitCommitted, "committed, but something is still unconfirmed"},
	{exitInProgress, "start: a session is in progress"},
	{exitNotEnded, "start: a session is committed, not ended"},
	{exitDetached, "Ctrl-C: left; a verb that was at work goes on in the server"},
}

func exitHelp() string {
	var b strings.Builder
	for _, m := range exitMeanings {
		fmt.Fprintf(&b, "  %3d  %s\n", m.status, m.meaning)
	}
	return strings.TrimRight(b.String(), "\n")
}

// exitOf is the exit status of each code.
var exitOf = map[abt2.Code]int{
	abt2.CodeInvalid:      exitUsage,
	abt2.CodeNotFound:     exitUsage,
	abt2.CodeConfirm:      exitUsage,
	abt2.CodeDifferences:  exitDifferences,
	abt2.CodeRefused:      exitRefused,
	abt2.CodeOwner:        exitOwner,
	abt2.CodeUnconfirmed:  exitUnconfirmed,
	abt2.CodeUnavailable:  exitNoServer,
	abt2.CodeCommitted:    exitCommitted,
	abt2.CodeUnauthorized: exitFailed,
	abt2.CodeFailed:       exitFailed,
	abt2.CodeInternal:     exitFailed,
}

// answered is the error of a command that has said everything already.
type answered struct{ status int }

func (answered) Error() string { return "answered" }

// usage is wrong input that the command's help explains.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return abt2.Errorf(abt2.CodeInvalid, "%s\nhow it is used: %s --help", fmt.Sprintf(format, args...), cmd.CommandPath())
}

// exit says what went wrong, if anything, and returns the status.
func (a *app) exit(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		err = a.out.failed // nobody reads what was printed
	}
	var done answered
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &done):
		return done.status
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return exitDetached
	}
	var e *abt2.Error
	if !errors.As(err, &e) {
		e = abt2.Wrap(abt2.CodeFailed, err, "%s", cmd.Name())
	}
	a.err.line("abt2: %s", a.explain(e))
	if status, ok := exitOf[e.Code]; ok {
		return status
	}
	return exitFailed
}
