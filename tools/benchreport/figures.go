package main

// figure is one promise of the project, checked against a benchmark.
type figure struct {
	what     string
	measured measure
	baseline *measure // the figure is measured over baseline; nil: absolute
	bound    float64
	atLeast  bool // otherwise at most
}

// measure names one number of one benchmark.
type measure struct{ pkg, name, unit string }

// value returns what was measured, and what of the baseline.
func (f figure) value(all *results) (value, base float64, ok bool) {
	value, ok = all.find(f.measured.pkg, f.measured.name).median(f.measured.unit)
	if !ok || f.baseline == nil {
		return value, 0, ok
	}
	base, ok = all.find(f.baseline.pkg, f.baseline.name).median(f.baseline.unit)
	if !ok || base == 0 {
		return 0, 0, false
	}
	return value / base, base, true
}

func (f figure) met(value float64) bool {
	if f.atLeast {
		return value >= f.bound
	}
	return value <= f.bound
}

// figures are what the project promises. Benchmarks are named as they print.
var figures = []figure{}
