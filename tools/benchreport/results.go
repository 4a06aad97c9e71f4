package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// results holds every benchmark, in the order in which it was printed.
type results struct {
	machine map[string]string // goos, goarch, cpu
	list    []*result
}

// result is one benchmark's measurements over all its runs.
type result struct {
	pkg, name string
	units     []string
	values    map[string][]float64 // by unit as printed
	runs      int
}

func read(files []string) (*results, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("name the files that hold the output of go test -bench")
	}
	all := &results{machine: map[string]string{}}
	in := benchfmt.Files{Paths: files}
	for in.Scan() {
		switch r := in.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, r
		case *benchfmt.Result:
			all.add(r)
		}
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if len(all.list) == 0 {
		return nil, fmt.Errorf("no benchmark in %s", strings.Join(files, ", "))
	}
	return all, nil
}

func (all *results) add(r *benchfmt.Result) {
	for _, key := range []string{"goos", "goarch", "cpu"} {
		if v := r.GetConfig(key); v != "" {
			all.machine[key] = v
		}
	}
	name := r.Name.String()
	if base, procs, ok := cutLast(name, "-"); ok && strings.Trim(procs, "0123456789") == "" {
		name = base // GOMAXPROCS is a fact about the machine
	}
	res := all.find(r.GetConfig("pkg"), name)
	if res == nil {
		res = &result{pkg: r.GetConfig("pkg"), name: name, values: map[string][]float64{}}
		all.list = append(all.list, res)
	}
	res.runs++
	for _, v := range r.Values {
		unit, value := v.Unit, v.Value
		if v.OrigUnit != "" {
			unit, value = v.OrigUnit, v.OrigValue
		}
		if !slices.Contains(res.units, unit) {
			res.units = append(res.units, unit)
		}
		res.values[unit] = append(res.values[unit], value)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (all *results) find(pkg, name string) *result {
	for _, r := range all.list {
		if r.pkg == pkg && r.name == name {
			return r
		}
	}
	return nil
}

// median returns the middle of a benchmark's runs: on a shared machine one
// slow run says more about the neighbours than about the code.
func (r *result) median(unit string) (float64, bool) {
	if r == nil || len(r.values[unit]) == 0 {
		return 0, false
	}
	v := slices.Sorted(slices.Values(r.values[unit]))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2, true
	}
	return v[len(v)/2], true
}
