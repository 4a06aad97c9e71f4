// Command abt2 releases many modules as one unit. One program is the operators'
// command, the server, its edge and the keeper of each instance.
package main

import (
	"context"
	"net/http"
	"os"
	"os/signal"
	"os/user"
	"syscall"
	"time"

	"golang.org/x/term"

	"abt2.dev"
	"abt2.dev/internal/api"
	"abt2.dev/internal/cli"
)

func main() {
	ctx, hurry, stop := interrupts()
	status := cli.New(cli.Env{
		Args:       os.Args[1:],
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		Getenv:     os.Getenv,
		IsTerminal: isTerminal,
		Now:        time.Now,
		UserName:   userName,
		Build:      build(),
		NewService: newService,
		NewDrill:   newDrill(hurry),
		Executable: os.Executable,
		RunServer:  runServer,
		RunEdge:    runEdge,
		RunShim:    runShim,
		RunDown:    runDown,
		RunRestore: runRestore,
		RunDoctor:  runDoctor,
	}).Run(ctx)
	stop()
	os.Exit(status)
}

// interrupts returns a context that ends with the first Ctrl-C or SIGTERM, and a
// channel that closes with the second.
func interrupts() (ctx context.Context, hurry <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	second := make(chan struct{})
	go func() { // until the process ends
		<-signals
		cancel()
		<-signals
		close(second)
	}()
	return ctx, second, func() { signal.Stop(signals) }
}

func newService(url string, token func() (string, error)) abt2.Service {
	// Verbs take as long as they take: no timeout. No proxy: the credential is
	// for the server alone, and redirects are not followed for the same reason.
	return api.NewClient(url, token, &http.Client{
		Transport:     &http.Transport{ForceAttemptHTTP2: true, ExpectContinueTimeout: time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func userName() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return u.Username, nil
}
