//go:build race

package cli_test

func init() { raceFlags = []string{"-race"} }
