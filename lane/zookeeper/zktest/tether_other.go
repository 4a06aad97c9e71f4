//go:build !linux

package zktest

import "syscall"

// tether: only Linux can promise it; elsewhere the test's cleanup ends servers.
func tether() *syscall.SysProcAttr { return nil }
