package route

import "sync/atomic"

// Instance is one running copy of a version. It is the same value in every
// Snapshot that holds it, so that requests in flight are counted across tables.
type Instance struct {
	ID      string
	Address string // host:port
	Version string // order@3
	// To is the value of header Abt2-To for this instance, in the form a
	// http.Header holds; nil for an external one, which is not addressed by
	// name. Read only.
	To []string

	_        [64]byte // the fields above are read by every request, those below are written
	inFlight atomic.Int64
	expected expected
}

// InFlight returns how many requests of this process the instance is serving.
func (i *Instance) InFlight() int64 { return i.inFlight.Load() }

func newInstance(version, id, address string, external bool) *Instance {
	i := &Instance{ID: id, Address: address, Version: version}
	if !external {
		i.To = []string{version + "/" + id}
	}
	return i
}

// Pick is an instance chosen for one request, which counts as in flight there
// until Done.
type Pick struct {
	*Instance
}

// Done ends the request. It is called exactly once.
func (p Pick) Done() { p.inFlight.Add(-1) }
