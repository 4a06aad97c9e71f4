package nameserver

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"abt2.dev"
)

const (
	// apex is the top of the zone.
	apex = "abt2."
	// ttl is how many seconds an answer may be kept, one that there is nothing as
	// well. A switch of users takes milliseconds; this is what caches add to it.
	ttl = 1
	// longestLabel is the most that a part of a name may have (RFC 1035, 2.3.4).
	longestLabel = 63
)

// zone is everything that can be asked, made of one directory. Nobody changes
// it once it has been made.
//
//	PRODUCT.abt2.                       nothing; names lie below it
//	MODULE.PRODUCT.abt2.                the version that is online in the product
//	vNUMBER.MODULE.PRODUCT.abt2.        that version
//	GROUP.PRODUCT.abt2.                 all of the group that is online
//	INSTANCE.MODULE.PRODUCT.abt2.       one instance: where SRV records point to
//	abt2., ns.abt2.                     SOA and NS; this server
type zone struct {
	directory *abt2.Directory
	soa       []dns.RR
	names     map[string]*records // by name in lower case; what is not here is empty or does not exist
}

// records are what stands under one name. Lists are by type.
type records struct {
	a, aaaa, srv, ns, soa []dns.RR
	targets               map[string][]dns.RR // addresses by the name that an SRV record points to
}

func newZone(d *abt2.Directory, serial uint32, address string) *zone {
	soa := []dns.RR{&dns.SOA{
		Hdr: header(apex, dns.TypeSOA), Ns: "ns." + apex, Mbox: "hostmaster." + apex, Serial: serial,
		Refresh: ttl, Retry: ttl, Expire: ttl, Minttl: ttl,
	}}
	z := &zone{directory: d, soa: soa, names: map[string]*records{}}
	z.names[apex] = &records{soa: soa, ns: []dns.RR{&dns.NS{Hdr: header(apex, dns.TypeNS), Ns: "ns." + apex}}}
	z.at("ns." + apex).add(addressRecord("ns."+apex, hostOf(address)))
	for product, p := range d.Products {
		below := "." + string(product) + "." + apex
		z.at(below[1:])
		for m := range d.Versions {
			z.at(string(m) + below)
		}
		for v, instances := range d.Instances {
			z.addVersion(v, instances, below, p.Online[v.Module] == v)
		}
		for g, modules := range p.Groups {
			name := string(g) + below
			z.at(name)
			for _, m := range modules {
				for _, i := range d.Instances[p.Online[m]] {
					z.addInstance(name, i, string(m)+below)
				}
			}
		}
	}
	return z
}

// addVersion adds a version and its instances, below a product.
func (z *zone) addVersion(v abt2.VersionID, instances []abt2.NamedInstance, below string, online bool) {
	module := string(v.Module) + below
	number := "v" + strconv.FormatUint(v.Number, 10) + "." + module
	z.at(number)
	for _, i := range instances {
		z.addInstance(number, i, module)
		if online {
			z.addInstance(module, i, module)
		}
	}
}

// addInstance lets a name lead to an instance of the module, if it is to be called.
func (z *zone) addInstance(name string, i abt2.NamedInstance, module string) {
	host, port, err := net.SplitHostPort(i.Address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if !i.Callable || err != nil || portErr != nil {
		return
	}
	r := z.at(name)
	ip, _ := netip.ParseAddr(host)
	r.add(addressRecord(name, ip))
	target := strings.ToLower(string(i.ID)) + "." + module
	switch {
	case !ip.IsValid(): // an external one: its name is somebody else's to resolve
		target = dns.Fqdn(host)
	case len(i.ID) > longestLabel: // has no name of its own to point to
		return
	default:
		if z.names[target] == nil {
			z.at(target).add(addressRecord(target, ip))
		}
		r.targets[target] = []dns.RR{addressRecord(target, ip)}
	}
	r.srv = append(r.srv, &dns.SRV{Hdr: header(name, dns.TypeSRV), Priority: 1, Weight: 1, Port: uint16(number), Target: target})
}

// at makes a name exist.
func (z *zone) at(name string) *records {
	r := z.names[name]
	if r == nil {
		r = &records{targets: map[string][]dns.RR{}}
		z.names[name] = r
	}
	return r
}

// add takes an address; nil is none.
func (r *records) add(rr dns.RR) {
	switch rr.(type) {
	case *dns.A:
		r.a = append(r.a, rr)
	case *dns.AAAA:
		r.aaaa = append(r.aaaa, rr)
	}
}

// addressRecord is nil for what is no address.
func addressRecord(name string, ip netip.Addr) dns.RR {
	switch ip = ip.Unmap(); {
	case ip.Is4():
		return &dns.A{Hdr: header(name, dns.TypeA), A: ip.AsSlice()}
	case ip.Is6():
		return &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: ip.AsSlice()}
	}
	return nil
}

func header(name string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

func hostOf(address string) netip.Addr {
	a, _ := netip.ParseAddrPort(address)
	return a.Addr()
}

// find returns what stands under a name in lower case. There may be nothing
// under a name that exists.
func (z *zone) find(name string) (r *records, exists bool) {
	if r := z.names[name]; r != nil {
		return r, true
	}
	// A version that does not run any more, or not yet.
	label, module, _ := strings.Cut(name, ".")
	digits, isVersion := strings.CutPrefix(label, "v")
	number, err := strconv.ParseUint(digits, 10, 64)
	if !isVersion || err != nil || number == 0 || digits[0] == '0' || digits[0] == '+' || z.names[module] == nil {
		return nil, false
	}
	m, product, _ := strings.Cut(strings.TrimSuffix(module, "."+apex), ".")
	if product == "" || strings.Contains(product, ".") || number > z.directory.Versions[abt2.ModuleName(m)] {
		return nil, false
	}
	return &records{}, true
}
