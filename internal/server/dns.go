package server

import (
	"context"

	"abt2.dev/internal/nameserver"
	"abt2.dev/internal/release"
)

// answerNames answers for names over DNS, where that is wanted, and returns the
// address.
func answerNames(ctx context.Context, c Config, engine *release.Engine, run func(string, func(context.Context) error)) (address string, err error) {
	if c.DNSListen == "" {
		return "", nil
	}
	if _, _, err := loopback("--dns-listen", c.DNSListen); err != nil {
		return "", err
	}
	s, err := nameserver.Listen(ctx, c.DNSListen, c.Log)
	if err != nil {
		return "", err
	}
	run("dns", func(ctx context.Context) error { return s.Run(ctx, engine.Directory) })
	return s.Addr(), nil
}
