package shim

// lives tells whether exactly this process runs.
func lives(p process) bool {
	s, err := readStat(p.pid)
	return err == nil && s.start == p.start && !s.ended()
}
